import { newEnvironment } from '../../cel/environment.js';
import { CompileProblem, compileExpression } from '../../cel/expression.js';
import { SchemaTypes } from '../../cel/schema-types.js';
import { isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../../json.js';
import { apiVersionOf, type KubeObject } from '../../object.js';
import type { Registry } from '../../registry/registry.js';
import type { Resource } from '../../registry/resource.js';
import { requestTypes } from '../match/conditions.js';
import { type MatchRule, matchRulesOf } from '../match/rules.js';
import { LazyVariables } from './lazy-variables.js';

/** A warning, and the field of the policy it is about. */
export interface TypeWarning extends JsonObject {
  fieldRef: string;
  warning: string;
}

/** Kinds checked for one policy; rules may name more. */
const kindsMax = 10;

/** The kinds that rules name one by one: what a wildcard stands for is not checked. */
function namedKinds(rules: readonly MatchRule[], registry: Registry): Resource[] {
  const kinds = new Set<Resource>();
  for (const rule of rules) {
    if ([rule.groups, rule.versions, rule.resources].some((list) => list.some((v) => v.includes('*'))))
      continue;
    for (const group of rule.groups) {
      for (const version of rule.versions) {
        for (const plural of rule.resources) {
          const resource = registry.find(group, version, plural);
          if (resource !== undefined && resource.verbs === undefined) kinds.add(resource);
        }
      }
    }
  }
  return [...kinds].slice(0, kindsMax);
}

/**
 * Checks the expressions of a policy against the schemas of the kinds it names.
 * A policy works without: its author is only told what will fail.
 */
export function policyTypeWarnings(policy: KubeObject, registry: Registry): TypeWarning[] {
  const spec = objectOf(policy.spec);
  const kinds = namedKinds(matchRulesOf(objectOf(spec.matchConstraints).resourceRules), registry);
  const problems = new Map<string, string[]>();
  for (const kind of kinds) checkKind(spec, kind, registry, problems);
  return [...problems].map(([fieldRef, texts]) => ({ fieldRef, warning: texts.join('\n') }));
}

function checkKind(
  spec: JsonObject,
  kind: Resource,
  registry: Registry,
  problems: Map<string, string[]>,
): void {
  const environment = requestTypes(newEnvironment());
  const types = new SchemaTypes(environment, { seesMetadata: true });
  const type = types.typeOf(kind.schema, true);
  const { paramKind } = spec;
  const params = isObject(paramKind)
    ? registry.findKind(stringOf(paramKind.apiVersion), stringOf(paramKind.kind))
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
  const name = `${apiVersionOf(kind.group, kind.version)}, Kind=${kind.kind}`;
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
