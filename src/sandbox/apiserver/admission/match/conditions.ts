import type { Environment } from '@marcbachmann/cel-js';
import { CostBudget, CostExceeded } from '../../cel/budget.js';
import { newEnvironment } from '../../cel/environment.js';
import {
  CompileProblem,
  compileExpression,
  EvaluationFailure,
  type Expression,
  type ResultType,
} from '../../cel/expression.js';
import { type JsonObject, objectsOf, stringOf } from '../../../base/json.js';

/** A named condition that must hold for a webhook or policy to be called. */
export interface MatchCondition {
  readonly name: string;
  readonly expression: Expression | CompileProblem;
}

const requestFields = {
  'kubernetes.GroupVersionKind': { group: 'string', version: 'string', kind: 'string' },
  'kubernetes.GroupVersionResource': { group: 'string', version: 'string', resource: 'string' },
  'kubernetes.UserInfo': {
    username: 'string',
    uid: 'string',
    groups: 'list<string>',
    extra: 'map<string, list<string>>',
  },
  'kubernetes.AdmissionRequest': {
    uid: 'string',
    kind: 'kubernetes.GroupVersionKind',
    resource: 'kubernetes.GroupVersionResource',
    subResource: 'string',
    requestKind: 'kubernetes.GroupVersionKind',
    requestResource: 'kubernetes.GroupVersionResource',
    requestSubResource: 'string',
    name: 'string',
    namespace: 'string',
    operation: 'string',
    userInfo: 'kubernetes.UserInfo',
    dryRun: 'bool',
    options: 'dyn',
  },
} as const;

/** Adds the variables about the request, all but its objects. */
export function requestTypes(environment: Environment): Environment {
  for (const [name, fields] of Object.entries(requestFields)) environment.registerType(name, { fields });
  environment.registerVariable('request', 'kubernetes.AdmissionRequest');
  return environment.registerVariable('authorizer', 'kubernetes.authorization.Authorizer');
}

let base: Environment | undefined;

/** What expressions about admission requests can see: object, oldObject, request, authorizer. */
export function admissionEnvironment(): Environment {
  if (base === undefined) {
    base = requestTypes(newEnvironment());
    base.registerVariable('object', 'dyn').registerVariable('oldObject', 'dyn');
  }
  return base.clone();
}

const programs = new Map<string, Expression | CompileProblem>();
const programsMax = 4096;
let shared: Environment | undefined;

/** Compiles an expression about admission requests. */
export function admissionExpression(source: string, result: ResultType): Expression | CompileProblem {
  const key = `${result}:${source}`;
  const known = programs.get(key);
  if (known !== undefined) return known;
  shared ??= admissionEnvironment();
  const program = compileExpression(shared, source, result);
  if (programs.size >= programsMax) programs.clear();
  programs.set(key, program);
  return program;
}

/** The conditions of a configuration. */
export function matchConditionsOf(value: JsonObject['matchConditions']): MatchCondition[] {
  return objectsOf(value).map((c) => ({
    name: stringOf(c.name),
    expression: admissionExpression(stringOf(c.expression), 'bool'),
  }));
}

/** Whether all conditions hold. One that is false decides, even if others fail: then it is an error text. */
export function conditionsHold(
  conditions: readonly MatchCondition[],
  context: () => Readonly<Record<string, unknown>>,
): boolean | { readonly error: string } {
  if (conditions.length === 0) return true;
  const budget = new CostBudget();
  const variables = context();
  const failures: string[] = [];
  for (const { name, expression } of conditions) {
    if (expression instanceof CompileProblem) {
      failures.push(`match condition '${name}' cannot be compiled: ${expression.message}`);
      continue;
    }
    try {
      if (expression.evaluate(variables, budget) !== true) return false;
    } catch (error) {
      if (!(error instanceof EvaluationFailure || error instanceof CostExceeded)) throw error;
      failures.push(`expression '${expression.source}' resulted in error: ${error.message}`);
    }
  }
  if (failures.length === 0) return true;
  return { error: failures.length === 1 ? (failures[0] ?? '') : `[${failures.join(', ')}]` };
}
