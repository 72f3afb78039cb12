import type { Environment } from '@marcbachmann/cel-js';
import { CompileProblem, compileExpression, type Expression } from '../../cel/expression.js';
import { isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { admissionEnvironment, type MatchCondition } from '../match/conditions.js';
import { type MatchCriteria, queryOf } from '../match/matcher.js';
import { matchRulesOf } from '../match/rules.js';
import { LazyVariables } from './lazy-variables.js';

export type Compiled = Expression | CompileProblem;

export interface Validation {
  readonly source: string;
  readonly expression: Compiled;
  readonly message: string;
  readonly messageExpression: Compiled | undefined;
  readonly reason: string;
}

export interface ParamKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** A ValidatingAdmissionPolicy ready to run. */
export interface Policy {
  readonly name: string;
  readonly criteria: MatchCriteria;
  readonly conditions: readonly MatchCondition[];
  readonly variables: readonly { readonly name: string; readonly expression: Compiled }[];
  readonly validations: readonly Validation[];
  readonly auditAnnotations: readonly { readonly key: string; readonly value: Compiled }[];
  readonly ignoresFailures: boolean;
  readonly paramKind: ParamKind | undefined;
}

const environments = new Map<string, Environment>();

/** What expressions of policies can see; `params` and `variables` only when the policy has some. */
export function policyEnvironment(has: {
  readonly params: boolean;
  readonly variables: boolean;
}): Environment {
  const key = `${has.params} ${has.variables}`;
  let environment = environments.get(key);
  if (environment === undefined) {
    environment = admissionEnvironment().registerVariable('namespaceObject', 'dyn');
    if (has.params) environment.registerVariable('params', 'dyn');
    if (has.variables) {
      environment
        .registerType('kubernetes.variables', { ctor: LazyVariables })
        .registerVariable('variables', 'kubernetes.variables');
    }
    environments.set(key, environment);
  }
  return environment;
}

/** matchConstraints of a policy, or matchResources of a binding. */
export function criteriaOf(match: JsonObject): MatchCriteria {
  return {
    rules: matchRulesOf(match.resourceRules),
    excluded: matchRulesOf(match.excludeResourceRules),
    namespaceSelector: queryOf(match.namespaceSelector),
    objectSelector: queryOf(match.objectSelector),
    isEquivalent: match.matchPolicy !== 'Exact',
  };
}

/** Compiles a policy. */
export function policyOf(object: ApiObject): Policy {
  const spec = objectOf(object.spec);
  const paramKind = isObject(spec.paramKind)
    ? { apiVersion: stringOf(spec.paramKind.apiVersion), kind: stringOf(spec.paramKind.kind) }
    : undefined;
  const environment = policyEnvironment({
    params: paramKind !== undefined,
    variables: objectsOf(spec.variables).length > 0,
  });
  const compile = (source: string, result: 'bool' | 'string' | 'any'): Compiled =>
    compileExpression(environment, source, result);
  return {
    name: object.metadata.name,
    criteria: criteriaOf(objectOf(spec.matchConstraints)),
    conditions: objectsOf(spec.matchConditions).map((c) => ({
      name: stringOf(c.name),
      expression: compile(stringOf(c.expression), 'bool'),
    })),
    variables: objectsOf(spec.variables).map((v) => ({
      name: stringOf(v.name),
      expression: compile(stringOf(v.expression), 'any'),
    })),
    validations: objectsOf(spec.validations).map((v) => ({
      source: stringOf(v.expression),
      expression: compile(stringOf(v.expression), 'bool'),
      message: stringOf(v.message),
      messageExpression:
        stringOf(v.messageExpression).trim() === ''
          ? undefined
          : compile(stringOf(v.messageExpression), 'string'),
      reason: stringOf(v.reason) || 'Invalid',
    })),
    auditAnnotations: objectsOf(spec.auditAnnotations).map((a) => ({
      key: stringOf(a.key),
      value: compile(stringOf(a.valueExpression), 'any'),
    })),
    ignoresFailures: spec.failurePolicy === 'Ignore',
    paramKind,
  };
}

/** Names used as `variables.NAME` before they are declared, for one expression. */
export function undeclaredVariables(expression: Compiled, declared: ReadonlySet<string>): string[] {
  if (expression instanceof CompileProblem) return [];
  const prefix = 'variables.';
  return [...expression.selections]
    .filter((s) => s.startsWith(prefix))
    .map((s) => s.slice(prefix.length))
    .filter((name) => !declared.has(name));
}
