import { type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { ServedResource } from '../../registry/resource.js';
import { isBestEffort } from '../pods/pod-resources.js';

/** A requirement of a quota on the objects it counts. */
export interface ScopeRequirement {
  readonly scope: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** The scopes of a quota: the plain list and the selector. */
export function scopesOf(spec: JsonObject): ScopeRequirement[] {
  const plain = stringsOf(spec.scopes).map((scope) => ({ scope, operator: 'Exists', values: [] }));
  const selected = objectsOf(objectOf(spec.scopeSelector).matchExpressions).map((e) => ({
    scope: stringOf(e.scopeName),
    operator: stringOf(e.operator),
    values: stringsOf(e.values),
  }));
  return [...plain, ...selected];
}

function hasCrossNamespaceAffinity(spec: JsonObject): boolean {
  const affinity = objectOf(spec.affinity);
  return ['podAffinity', 'podAntiAffinity'].some((kind) => {
    const rules = objectOf(affinity[kind]);
    const terms = [
      ...objectsOf(rules.requiredDuringSchedulingIgnoredDuringExecution),
      ...objectsOf(rules.preferredDuringSchedulingIgnoredDuringExecution).map((t) =>
        objectOf(t.podAffinityTerm),
      ),
    ];
    return terms.some((t) => stringsOf(t.namespaces).length > 0 || t.namespaceSelector !== undefined);
  });
}

function matchesPriority({ operator, values }: ScopeRequirement, className: string): boolean {
  switch (operator) {
    case 'In':
      return values.includes(className);
    case 'NotIn':
      return className === '' || !values.includes(className);
    case 'DoesNotExist':
      return className === '';
    default:
      return className !== '';
  }
}

/** Whether a pod meets one requirement. */
export function isPodInScope(requirement: ScopeRequirement, pod: ApiObject): boolean {
  const spec = objectOf(pod.spec);
  const isTerminating = typeof spec.activeDeadlineSeconds === 'number' && spec.activeDeadlineSeconds >= 0;
  switch (requirement.scope) {
    case 'Terminating':
      return isTerminating;
    case 'NotTerminating':
      return !isTerminating;
    case 'BestEffort':
      return isBestEffort(spec);
    case 'NotBestEffort':
      return !isBestEffort(spec);
    case 'PriorityClass':
      return matchesPriority(requirement, stringOf(spec.priorityClassName));
    case 'CrossNamespacePodAffinity':
      return hasCrossNamespaceAffinity(spec);
    default:
      return false;
  }
}

/** Whether a quota with these scopes counts an object: scopes are about pods only. */
export function isInScope(
  scopes: readonly ScopeRequirement[],
  resource: Pick<ServedResource, 'group' | 'plural'>,
  object: ApiObject,
): boolean {
  if (scopes.length === 0) return true;
  if (resource.group !== '' || resource.plural !== 'pods') return false;
  return scopes.every((s) => isPodInScope(s, object));
}
