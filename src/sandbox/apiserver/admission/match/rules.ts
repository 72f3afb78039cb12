import { type JsonObject, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import type { AdmissionRequest, Operation } from '../../registry/admission.js';

/** A rule of a webhook or policy: which requests it is for. */
export interface MatchRule {
  readonly operations: readonly string[];
  readonly groups: readonly string[];
  readonly versions: readonly string[];
  readonly resources: readonly string[];
  readonly scope: string;
  /** Empty: any name. */
  readonly names: readonly string[];
}

/** The rules as configurations write them. */
export function matchRulesOf(value: JsonObject['rules']): MatchRule[] {
  return objectsOf(value).map((rule) => ({
    operations: stringsOf(rule.operations),
    groups: stringsOf(rule.apiGroups),
    versions: stringsOf(rule.apiVersions),
    resources: stringsOf(rule.resources),
    scope: stringOf(rule.scope) || '*',
    names: stringsOf(rule.resourceNames),
  }));
}

/** What rules look at. */
export interface RuleTarget {
  readonly operation: Operation;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly subresource: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

const has = (list: readonly string[], value: string): boolean => list.includes('*') || list.includes(value);

function matchesResource(patterns: readonly string[], plural: string, subresource: string): boolean {
  return patterns.some((pattern) => {
    const slash = pattern.indexOf('/');
    const resource = slash < 0 ? pattern : pattern.slice(0, slash);
    const sub = slash < 0 ? '' : pattern.slice(slash + 1);
    return (resource === '*' || resource === plural) && (sub === '*' || sub === subresource);
  });
}

function matchesScope(scope: string, target: RuleTarget): boolean {
  // A namespace is cluster-scoped, though requests for it name it as their namespace.
  const isNamespace = target.group === '' && target.plural === 'namespaces';
  const isNamespaced = !isNamespace && target.namespace !== undefined;
  return scope === '*' || (scope === 'Namespaced') === isNamespaced;
}

/** Whether a rule is for a request. */
export function ruleMatches(rule: MatchRule, target: RuleTarget): boolean {
  return (
    has(rule.operations, target.operation) &&
    has(rule.groups, target.group) &&
    has(rule.versions, target.version) &&
    matchesResource(rule.resources, target.plural, target.subresource) &&
    matchesScope(rule.scope, target) &&
    (rule.names.length === 0 || rule.names.includes(target.name))
  );
}

/** Namespace and name of what a request is about. */
export function targetOf({ target, object, resource }: AdmissionRequest): {
  namespace: string | undefined;
  name: string;
} {
  if (target !== undefined) return { namespace: target.namespace, name: target.name };
  const { name, namespace } = object.metadata;
  const isNamespace = resource.group === '' && resource.plural === 'namespaces';
  return { namespace: isNamespace ? name : namespace, name };
}
