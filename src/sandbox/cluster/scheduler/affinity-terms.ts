import { labelSelectorMatches } from '#base/kube/labels.js';
import type { LabelSelector, Pod, PodAffinityTerm } from '#base/kube/types.js';
import { isActive } from '../controllers/pod-state.js';
import type { ClusterView } from './cluster-view.js';

/** Tells which living pods an affinity term of `owner` speaks of. */
export function termMatcher(
  term: PodAffinityTerm,
  owner: Pod,
  view: Pick<ClusterView, 'namespaceLabels'>,
): (other: Pod) => boolean {
  const selector = selectorOf(term, owner);
  const isInScope = namespaceScope(term, owner, view);
  return (other) =>
    isActive(other) &&
    isInScope(other.metadata.namespace ?? '') &&
    labelSelectorMatches(selector, other.metadata.labels);
}

/** A selector narrowed to pods that agree with `pod` in some of its labels (matchLabelKeys). */
export function narrowed(
  selector: LabelSelector | undefined,
  pod: Pod,
  o: { readonly same: readonly string[] | undefined; readonly different?: readonly string[] | undefined },
): LabelSelector | undefined {
  if (selector === undefined) return undefined;
  const labels = pod.metadata.labels ?? {};
  const requirements = (keys: readonly string[] | undefined, operator: string) =>
    (keys ?? []).flatMap((key) => {
      const value = labels[key];
      return value === undefined ? [] : [{ key, operator, values: [value] }];
    });
  const extra = [...requirements(o.same, 'In'), ...requirements(o.different, 'NotIn')];
  if (extra.length === 0) return selector;
  return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...extra] };
}

function selectorOf(term: PodAffinityTerm, owner: Pod): LabelSelector | undefined {
  return narrowed(term.labelSelector, owner, {
    same: term.matchLabelKeys,
    different: term.mismatchLabelKeys,
  });
}

/** Named namespaces and selected ones together; neither given means the owner's own. */
function namespaceScope(
  term: PodAffinityTerm,
  owner: Pod,
  view: Pick<ClusterView, 'namespaceLabels'>,
): (namespace: string) => boolean {
  const { namespaceSelector } = term;
  const named = term.namespaces ?? [];
  if (namespaceSelector === undefined) {
    const names = named.length === 0 ? [owner.metadata.namespace ?? ''] : named;
    return (namespace) => names.includes(namespace);
  }
  return (namespace) => {
    if (named.includes(namespace)) return true;
    const labels = view.namespaceLabels(namespace);
    return labels !== undefined && labelSelectorMatches(namespaceSelector, labels);
  };
}
