import { labelSelectorMatches } from '#base/kube/labels.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import type { LabelSelector, Pod, TopologySpreadConstraint } from '#base/kube/types.js';
import { isActive } from '../../controllers/pod-state.js';
import { narrowed } from '../affinity-terms.js';
import { type ClusterView, type Filter, type ScheduledNode, topologyDomains } from '../cluster-view.js';
import { untolerated } from '../../controllers/tolerations.js';

/** Spread constraints that must hold (`DoNotSchedule`; kubernetes.io documentation, "Pod Topology Spread Constraints"). */
export const topologySpread: Filter = (pod, view) => {
  const rules = spreadConstraints(pod, 'DoNotSchedule').map((constraint) => rule(constraint, pod, view));
  return ({ node }) => {
    for (const { constraint, counts, min, own } of rules) {
      const value = node.metadata.labels?.[constraint.topologyKey];
      const reason = "node(s) didn't match pod topology spread constraints";
      if (value === undefined) return { reason: `${reason} (missing required label)`, isResolvable: false };
      if ((counts.get(value) ?? 0) + own - min > constraint.maxSkew) return { reason, isResolvable: true };
    }
    return undefined;
  };
};

/** A pod's constraints of one kind. */
export function spreadConstraints(pod: Pod, whenUnsatisfiable: string): TopologySpreadConstraint[] {
  return (pod.spec.topologySpreadConstraints ?? []).filter(
    (constraint) => constraint.whenUnsatisfiable === whenUnsatisfiable,
  );
}

/** Matching pods of the pod's namespace in each topology domain that takes part. */
export function spreadCounts(
  constraint: TopologySpreadConstraint,
  pod: Pod,
  view: ClusterView,
): Map<string, number> {
  const selector = selectorOf(constraint, pod);
  const counts = new Map<string, number>();
  for (const [value, states] of topologyDomains(view, constraint.topologyKey)) {
    const taking = states.filter((state) => takesPart(constraint, pod, state));
    if (taking.length === 0) continue;
    const matching = taking.flatMap((state) => state.pods.filter((other) => isCounted(other, pod, selector)));
    counts.set(value, matching.length);
  }
  return counts;
}

function rule(
  constraint: TopologySpreadConstraint,
  pod: Pod,
  view: ClusterView,
): {
  readonly constraint: TopologySpreadConstraint;
  readonly counts: Map<string, number>;
  readonly min: number;
  readonly own: number;
} {
  const counts = spreadCounts(constraint, pod, view);
  const hasTooFewDomains = counts.size < (constraint.minDomains ?? 1);
  return {
    constraint,
    counts,
    min: hasTooFewDomains ? 0 : Math.min(...counts.values()),
    own: labelSelectorMatches(selectorOf(constraint, pod), pod.metadata.labels) ? 1 : 0,
  };
}

function selectorOf(constraint: TopologySpreadConstraint, pod: Pod): LabelSelector | undefined {
  return narrowed(constraint.labelSelector, pod, { same: constraint.matchLabelKeys });
}

function isCounted(other: Pod, pod: Pod, selector: LabelSelector | undefined): boolean {
  return (
    isActive(other) &&
    other.metadata.namespace === pod.metadata.namespace &&
    labelSelectorMatches(selector, other.metadata.labels)
  );
}

/** Nodes the pod could not use anyway do not count, unless the constraint says otherwise. */
function takesPart(constraint: TopologySpreadConstraint, pod: Pod, { node }: ScheduledNode): boolean {
  const honorsAffinity = (constraint.nodeAffinityPolicy ?? 'Honor') === 'Honor';
  if (honorsAffinity && !nodeMatches(pod.spec, node)) return false;
  if (constraint.nodeTaintsPolicy !== 'Honor') return true;
  return untolerated(node.spec?.taints, pod.spec.tolerations, ['NoSchedule', 'NoExecute']) === undefined;
}
