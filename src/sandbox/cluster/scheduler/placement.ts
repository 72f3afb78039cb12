import type { Pod } from '#base/kube/types.js';
import { isActive } from '../controllers/pod-state.js';
import type { ClusterView, Filter, ScheduledNode, NodeRefusal } from './cluster-view.js';
import { nodeFit } from './filters/node-fit.js';
import { podAffinity } from './filters/pod-affinity.js';
import { freePorts } from './filters/ports.js';
import { freeResources } from './filters/resources.js';
import { topologySpread } from './filters/topology-spread.js';
import { reachableVolumes } from './filters/volumes.js';
import { scoreNodes } from './scoring.js';

/** In the order in which a refusal is the most telling. */
const filters: readonly Filter[] = [
  nodeFit,
  freePorts,
  freeResources,
  reachableVolumes,
  topologySpread,
  podAffinity,
];

/** Where a pod goes, or why each node refuses it. */
export type Placement = { readonly node: string } | { readonly refusals: ReadonlyMap<string, NodeRefusal> };

/** Chooses the node for a pod: filters, then the highest score; ties go to the node with fewer pods, then by name. */
export function placePod(pod: Pod, view: ClusterView): Placement {
  const refusals = new Map<string, NodeRefusal>();
  const candidates: ScheduledNode[] = [];
  const refusalOf = refusalBy(pod, view);
  for (const state of view.nodes) {
    const refusal = refusalOf(state);
    if (refusal === undefined) candidates.push(state);
    else refusals.set(state.node.metadata.name, refusal);
  }
  const scores = scoreNodes(pod, candidates, view);
  const [best] = candidates
    .map((state, i) => ({
      name: state.node.metadata.name,
      score: scores[i] ?? 0,
      crowd: state.pods.filter(isActive).length,
    }))
    .toSorted((a, b) => b.score - a.score || a.crowd - b.crowd || a.name.localeCompare(b.name));
  return best === undefined ? { refusals } : { node: best.name };
}

/** Prepares every filter for the pod; the result tells what a node has against it. */
export function refusalBy(pod: Pod, view: ClusterView): (state: ScheduledNode) => NodeRefusal | undefined {
  const prepared = filters.map((filter) => filter(pod, view));
  return (state) => {
    for (const refuse of prepared) {
      const refusal = refuse(state);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  };
}

/** The message of the FailedScheduling event and of the PodScheduled condition. */
export function describeFailure(refusals: ReadonlyMap<string, NodeRefusal>, preemption?: string): string {
  if (refusals.size === 0) return 'no nodes available to schedule pods';
  const all = [...refusals.values()];
  const aboutPod = all.find(({ isAboutPod }) => isAboutPod === true);
  const own =
    aboutPod === undefined
      ? `${countedReasons(all.map(({ reason }) => reason))}.`
      : `0/${all.length} nodes are available: ${aboutPod.reason}.`;
  return preemption === undefined ? own : `${own} preemption: ${preemption}`;
}

/** `0/3 nodes are available: 1 this, 2 that`. */
export function countedReasons(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts].map(([reason, n]) => `${n} ${reason}`).toSorted((a, b) => a.localeCompare(b));
  return `0/${reasons.length} nodes are available: ${parts.join(', ')}`;
}
