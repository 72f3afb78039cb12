import type { DaemonSet, Node, Pod, Toleration } from '#base/kube/types.js';
import { nodeTaints } from '../../objects.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import { untolerated } from '../tolerations.js';
import { resolveIntOrPercent } from '../int-or-percent.js';
import { isAvailable } from '../pod-state.js';

/** Whether a DaemonSet wants a pod on a node, and whether one that is there may stay. */
export interface NodeVerdict {
  readonly shouldRun: boolean;
  readonly shouldStay: boolean;
}

/** Tolerations every DaemonSet pod gets, so that a troubled node keeps its daemons (upstream's list). */
export function daemonTolerations(isHostNetwork: boolean): Toleration[] {
  const exists = (key: string, effect: string): Toleration => ({ key, operator: 'Exists', effect });
  return [
    exists(nodeTaints.notReady, 'NoExecute'),
    exists(nodeTaints.unreachable, 'NoExecute'),
    exists(nodeTaints.diskPressure, 'NoSchedule'),
    exists(nodeTaints.memoryPressure, 'NoSchedule'),
    exists(nodeTaints.pidPressure, 'NoSchedule'),
    exists(nodeTaints.unschedulable, 'NoSchedule'),
    ...(isHostNetwork ? [exists(nodeTaints.networkUnavailable, 'NoSchedule')] : []),
  ];
}

/** Judges a node by the template's selector, affinity and tolerations. */
export function judgeNode(set: DaemonSet, node: Node): NodeVerdict {
  const { spec } = set.spec.template;
  if (node.metadata.deletionTimestamp !== undefined) return { shouldRun: false, shouldStay: false };
  const isPinnedElsewhere =
    spec.nodeName !== undefined && spec.nodeName !== '' && spec.nodeName !== node.metadata.name;
  if (isPinnedElsewhere || !nodeMatches(spec, node)) return { shouldRun: false, shouldStay: false };
  const tolerations = [...(spec.tolerations ?? []), ...daemonTolerations(spec.hostNetwork === true)];
  const taints = node.spec?.taints;
  return {
    shouldRun: untolerated(taints, tolerations, ['NoSchedule', 'NoExecute']) === undefined,
    shouldStay: untolerated(taints, tolerations, ['NoExecute']) === undefined,
  };
}

/** The template's spec pinned to one node, the way upstream pins it: the scheduler still decides. */
export function pinToNode(spec: Pod['spec'], nodeName: string): Pod['spec'] {
  const pin = { key: 'metadata.name', operator: 'In', values: [nodeName] };
  const nodeAffinity = spec.affinity?.nodeAffinity;
  const terms = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  // Upstream replaces earlier matchFields and keeps matchExpressions; with both, both must hold.
  const pinned =
    terms === undefined
      ? [{ matchFields: [pin] }]
      : terms.map((term) => ({
          ...(term.matchExpressions === undefined ? {} : { matchExpressions: term.matchExpressions }),
          matchFields: [pin],
        }));
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: pinned },
      },
    },
    tolerations: [...(spec.tolerations ?? []), ...daemonTolerations(spec.hostNetwork === true)],
  };
}

/** The node a daemon pod is for: where it runs, or where its affinity pins it. */
export function nodeOfDaemon(pod: Pod): string | undefined {
  if (pod.spec.nodeName !== undefined && pod.spec.nodeName !== '') return pod.spec.nodeName;
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const term of terms) {
    for (const field of term.matchFields ?? []) {
      if (field.key === 'metadata.name' && field.operator === 'In') return field.values?.[0];
    }
  }
  return undefined;
}

/** Pods of one eligible node by template: `current` has the latest one. */
export interface NodePods {
  readonly node: string;
  readonly current: readonly Pod[];
  readonly old: readonly Pod[];
}

/** What a rolling update does next: old pods to delete, nodes that get a new pod beside the old. */
export interface RollingPlan {
  readonly toDelete: readonly Pod[];
  readonly toSurge: readonly string[];
}

/**
 * Next step of a rolling update within maxUnavailable or maxSurge. Old pods that
 * serve nobody go first and cost nothing.
 */
export function rollingPlan(set: DaemonSet, nodes: readonly NodePods[], nowMs: number): RollingPlan {
  if (set.spec.updateStrategy?.type === 'OnDelete') return { toDelete: [], toSurge: [] };
  const minReady = set.spec.minReadySeconds ?? 0;
  const limits = set.spec.updateStrategy?.rollingUpdate;
  const maxSurge = resolveIntOrPercent(limits?.maxSurge ?? 0, nodes.length, 'up');
  const maxUnavailable = resolveIntOrPercent(
    limits?.maxUnavailable ?? (maxSurge > 0 ? 0 : 1),
    nodes.length,
    'up',
  );
  const isUp = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined && isAvailable(pod, minReady, nowMs);
  if (maxSurge > 0) return surgePlan(nodes, maxSurge, isUp);
  const toDelete: Pod[] = [];
  let budget = Math.max(1, maxUnavailable);
  // Nodes already without an available pod use the budget up.
  for (const { current, old } of nodes) if (![...current, ...old].some(isUp)) budget--;
  for (const { current, old } of nodes) {
    if (current.length > 0) continue;
    for (const pod of old) {
      if (pod.metadata.deletionTimestamp !== undefined) continue;
      if (!isUp(pod)) toDelete.push(pod);
      else if (budget > 0) {
        toDelete.push(pod);
        budget--;
      }
    }
  }
  return { toDelete, toSurge: [] };
}

function surgePlan(nodes: readonly NodePods[], maxSurge: number, isUp: (pod: Pod) => boolean): RollingPlan {
  const toDelete: Pod[] = [];
  const toSurge: string[] = [];
  let budget = maxSurge;
  for (const { current, old } of nodes) if (current.length > 0 && old.some(isUp)) budget--;
  for (const { node, current, old } of nodes) {
    const living = old.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (living.length === 0) continue;
    if (current.some(isUp)) toDelete.push(...living);
    else if (current.length === 0) {
      if (!living.some(isUp)) toSurge.push(node);
      else if (budget > 0) {
        toSurge.push(node);
        budget--;
      }
    }
  }
  return { toDelete, toSurge };
}
