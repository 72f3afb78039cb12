import { newEnvironment } from '../../cel/environment.js';
import { CompileProblem, compileExpression } from '../../cel/expression.js';
import { SchemaTypes } from '../../cel/schema-types.js';
import { isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { ServedResource } from '../../registry/resource.js';
import { requestTypes } from '../match/conditions.js';
import { type MatchRule, matchRulesOf } from '../match/rules.js';
import { LazyVariables } from './lazy-variables.js';

/** A warning, and the field of the policy it is about. */
export interface TypeWarning extends JsonObject {
  fieldRef: string;
  warning: string;
}

/** What has to be known of a kind; `verbs` belong to what is no stored object. */
export type TypedKind = Pick<ServedResource, 'group' | 'version' | 'plural' | 'kind' | 'schema' | 'verbs'>;

/** Kinds checked for one policy; rules may name more. */
const kindsMax = 10;

/** The kinds that rules name one by one: what a wildcard stands for is not checked. */
function namedKinds(rules: readonly MatchRule[], served: readonly TypedKind[]): TypedKind[] {
  const kinds = new Set<TypedKind>();
  for (const rule of rules) {
    if ([rule.groups, rule.versions, rule.resources].some((list) => list.some((v) => v.includes('*'))))
      continue;
    for (const group of rule.groups) {
      for (const version of rule.versions) {
        for (const plural of rule.resources) {
          const resource = served.find(
            (k) => k.group === group && k.version === version && k.plural === plural,
          );
          if (resource !== undefined && resource.verbs === undefined) kinds.add(resource);
        }
      }
    }
  }
  return [...kinds].slice(0, kindsMax);
}

/** Groups of which a policy names kinds, as objects or as parameters. */
export function groupsOfPolicy(spec: JsonObject): string[] {
  const rules = matchRulesOf(objectOf(spec.matchConstraints).resourceRules);
  const [group = '', version] = stringOf(objectOf(spec.paramKind).apiVersion).split('/');
  return [...rules.flatMap((rule) => rule.groups), version === undefined ? '' : group];
}

/**
 * Checks the expressions of a policy's spec against the schemas of the kinds it names, which are among the served
 * ones. A policy works without: its author is only told what will fail.
 */
export function policyTypeWarnings(spec: JsonObject, served: readonly TypedKind[]): TypeWarning[] {
  const kinds = namedKinds(matchRulesOf(objectOf(spec.matchConstraints).resourceRules), served);
  const problems = new Map<string, string[]>();
  for (const kind of kinds) checkKind(spec, kind, served, problems);
  return [...problems].map(([fieldRef, texts]) => ({ fieldRef, warning: texts.join('\n') }));
}

function checkKind(
  spec: JsonObject,
  kind: TypedKind,
  served: readonly TypedKind[],
  problems: Map<string, string[]>,
): void {
  const environment = requestTypes(newEnvironment());
  const types = new SchemaTypes(environment, { seesMetadata: true });
  const type = types.typeOf(kind.schema, true);
  const { paramKind } = spec;
  const params = isObject(paramKind)
    ? served.find((k) => k.kind === paramKind.kind && apiVersionOf(k) === paramKind.apiVersion)
    : undefined;
  environment
    .registerVariable('object', type)
    .registerVariable('oldObject', type)
    .registerVariable('namespaceObject', 'dyn')
    .registerType('kubernetes.variables', { ctor: LazyVariables })
    .registerVariable('variables', 'kubernetes.variables');
  if (isObject(paramKind)) {
    environment.registerVariable('params', params === undefined ? 'dyn' : types.typeOf(params.schema, true));
  }
  const name = `${apiVersionOf(kind)}, Kind=${kind.kind}`;
  const check = (fieldRef: string, source: string): void => {
    if (source.trim() === '') return;
    const compiled = compileExpression(environment, source);
    if (!(compiled instanceof CompileProblem)) return;
    const text = `${name}: ${compiled.message.replace('compilation failed: ', '')}\n`;
    problems.set(fieldRef, [...(problems.get(fieldRef) ?? []), text]);
  };
  objectsOf(spec.variables).forEach((v, i) =>
    check(`spec.variables[${i}].expression`, stringOf(v.expression)),
  );
  objectsOf(spec.validations).forEach((v, i) => {
    check(`spec.validations[${i}].expression`, stringOf(v.expression));
    check(`spec.validations[${i}].messageExpression`, stringOf(v.messageExpression));
  });
}
