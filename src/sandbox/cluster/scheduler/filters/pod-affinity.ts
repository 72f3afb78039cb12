import type { Pod, PodAffinity, PodAffinityTerm } from '#base/kube/types.js';
import { isActive } from '../../controllers/pod-state.js';
import { termMatcher } from '../affinity-terms.js';
import type { ClusterView, Filter } from '../cluster-view.js';

/** Required pod affinity and anti-affinity, the pod's own and that of the pods already there. */
export const podAffinity: Filter = (pod, view) => {
  const wanted = required(pod.spec.affinity?.podAffinity).map((term) => attraction(term, pod, view));
  const shunned = required(pod.spec.affinity?.podAntiAffinity).map((term) =>
    placesOf(term.topologyKey, view, termMatcher(term, pod, view)),
  );
  const shunning = repulsion(pod, view);
  return ({ node }) => {
    const labels = node.metadata.labels ?? {};
    if (!wanted.every((isWanted) => isWanted(labels)))
      return { reason: "node(s) didn't match pod affinity rules", isResolvable: false };
    if (shunned.some(({ topologyKey, values }) => values.has(labels[topologyKey])))
      return { reason: "node(s) didn't match pod anti-affinity rules", isResolvable: true };
    if (shunning.some(({ topologyKey, value }) => labels[topologyKey] === value))
      return { reason: "node(s) didn't satisfy existing pods anti-affinity rules", isResolvable: true };
    return undefined;
  };
};

interface Places {
  readonly topologyKey: string;
  /** Values of the topology label where such pods are. */
  readonly values: ReadonlySet<string | undefined>;
}

function placesOf(topologyKey: string, view: ClusterView, isMatch: (other: Pod) => boolean): Places {
  const values = new Set<string | undefined>();
  for (const { node, pods } of view.nodes) {
    const value = node.metadata.labels?.[topologyKey];
    if (value !== undefined && !values.has(value) && pods.some(isMatch)) values.add(value);
  }
  return { topologyKey, values };
}

/** The node must share its topology value with a matching pod; the first of a kind that wants its own company goes anywhere. */
function attraction(
  term: PodAffinityTerm,
  pod: Pod,
  view: ClusterView,
): (labels: Readonly<Record<string, string>>) => boolean {
  const isMatch = termMatcher(term, pod, view);
  const { topologyKey, values } = placesOf(term.topologyKey, view, isMatch);
  const isFirstOfItsKind =
    isMatch({ ...pod, status: {} }) && !view.nodes.some((each) => each.pods.some(isMatch));
  return (labels) =>
    labels[topologyKey] !== undefined && (isFirstOfItsKind || values.has(labels[topologyKey]));
}

/** Where pods live that do not want this one beside them. */
function repulsion(pod: Pod, view: ClusterView): { readonly topologyKey: string; readonly value: string }[] {
  return view.nodes.flatMap(({ node, pods }) =>
    pods.filter(isActive).flatMap((other) =>
      required(other.spec.affinity?.podAntiAffinity).flatMap((term) => {
        const value = node.metadata.labels?.[term.topologyKey];
        const isMeant = value !== undefined && termMatcher(term, other, view)({ ...pod, status: {} });
        return isMeant ? [{ topologyKey: term.topologyKey, value }] : [];
      }),
    ),
  );
}

function required(affinity: PodAffinity | undefined): readonly PodAffinityTerm[] {
  return affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}
