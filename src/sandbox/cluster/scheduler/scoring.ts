import { termMatches } from '#base/kube/node-selector.js';
import { parseQuantity } from '../../base/quantity.js';
import type { Pod, PodAffinityTerm, TopologySpreadConstraint } from '#base/kube/types.js';
import { controllerOf } from '../cache/object-cache.js';
import { isActive, isFinished } from '../controllers/pod-state.js';
import { termMatcher } from './affinity-terms.js';
import type { ClusterView, ScheduledNode } from './cluster-view.js';
import { requestOf } from './filters/resources.js';
import { spreadConstraints, spreadCounts } from './filters/topology-spread.js';
import { tolerates } from '../controllers/tolerations.js';

/** Raw points of one preference for each candidate; more is better after {@link scale}. */
interface Preference {
  readonly weight: number;
  readonly isCost: boolean;
  readonly points: (state: ScheduledNode) => number;
}

/** What each preference is worth beside the others; upstream's default plugin weights. */
const weights = { taints: 3, nodeAffinity: 2, podAffinity: 2, spread: 2, leastAllocated: 1 } as const;
const pointsMax = 100;
/** What a pod that requests nothing is taken to use; upstream's figures. */
const unstatedRequests: Readonly<Record<string, number>> = { cpu: 0.1, memory: 200 * 1024 * 1024 };

/** How well each candidate suits the pod, in the order of the candidates. */
export function scoreNodes(pod: Pod, candidates: readonly ScheduledNode[], view: ClusterView): number[] {
  const totals = candidates.map(() => 0);
  for (const { weight, isCost, points } of preferences(pod, view)) {
    const scaled = scale(candidates.map(points), isCost);
    for (const [i, value] of scaled.entries()) totals[i] = (totals[i] ?? 0) + weight * value;
  }
  return totals;
}

function preferences(pod: Pod, view: ClusterView): Preference[] {
  const affinity = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const spreads = spreadDomains(pod, view);
  return [
    { weight: weights.taints, isCost: true, points: ({ node }) => untoleratedPreferences(pod, node) },
    {
      weight: weights.nodeAffinity,
      isCost: false,
      points: ({ node }) =>
        affinity.reduce((sum, each) => sum + (termMatches(each.preference, node) ? each.weight : 0), 0),
    },
    { weight: weights.podAffinity, isCost: false, points: companyPoints(pod, view) },
    {
      weight: weights.spread,
      isCost: true,
      points: ({ node }) =>
        spreads.reduce((sum, each) => sum + each.countAt(node.metadata.labels?.[each.topologyKey]), 0),
    },
    { weight: weights.leastAllocated, isCost: false, points: freeShare(pod) },
  ];
}

/** 0 to 100 between the worst and the best candidate; all alike score nothing. */
function scale(raw: readonly number[], isCost: boolean): number[] {
  const min = Math.min(...raw);
  const max = Math.max(...raw);
  if (max === min) return raw.map(() => 0);
  return raw.map((value) => (pointsMax * (isCost ? max - value : value - min)) / (max - min));
}

function untoleratedPreferences(pod: Pod, node: ScheduledNode['node']): number {
  const taints = (node.spec?.taints ?? []).filter((taint) => taint.effect === 'PreferNoSchedule');
  return taints.filter((taint) => !(pod.spec.tolerations ?? []).some((each) => tolerates(each, taint)))
    .length;
}

/** Preferred (anti-)affinity in both directions: what the pod likes, and who likes or dislikes it. */
function companyPoints(pod: Pod, view: ClusterView): (state: ScheduledNode) => number {
  const points = new Map<string, number>();
  const add = (term: PodAffinityTerm, at: ScheduledNode, amount: number): void => {
    const value = at.node.metadata.labels?.[term.topologyKey];
    if (value === undefined) return;
    const key = `${term.topologyKey}\n${value}`;
    points.set(key, (points.get(key) ?? 0) + amount);
  };
  const likes = preferredTerms(pod);
  const own = likes.map(({ term, weight }) => ({ term, weight, isMatch: termMatcher(term, pod, view) }));
  for (const state of view.nodes) {
    for (const other of state.pods.filter(isActive)) {
      for (const { term, weight, isMatch } of own) if (isMatch(other)) add(term, state, weight);
      for (const { term, weight } of [...preferredTerms(other), ...requiredAttractions(other)])
        if (termMatcher(term, other, view)({ ...pod, status: {} })) add(term, state, weight);
    }
  }
  const keys = [...points.keys()].map((key) => key.slice(0, key.indexOf('\n')));
  const topologyKeys = [...new Set(keys)];
  return ({ node }) =>
    topologyKeys.reduce(
      (sum, key) => sum + (points.get(`${key}\n${node.metadata.labels?.[key] ?? ''}`) ?? 0),
      0,
    );
}

interface WeightedTerm {
  readonly term: PodAffinityTerm;
  readonly weight: number;
}

function preferredTerms(pod: Pod): WeightedTerm[] {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const signed = (sign: number, list: typeof podAffinity): WeightedTerm[] =>
    (list?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({
      term: podAffinityTerm,
      weight: sign * weight,
    }));
  return [...signed(1, podAffinity), ...signed(-1, podAntiAffinity)];
}

/** A pod that requires company is glad of more of it. */
function requiredAttractions(pod: Pod): WeightedTerm[] {
  const terms = pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return terms.map((term) => ({ term, weight: 1 }));
}

interface SpreadDomains {
  readonly topologyKey: string;
  /** Pods to stay away from, where the topology label has this value. */
  readonly countAt: (value: string | undefined) => number;
}

/** Soft spread constraints; without any of its own, a pod stays away from its siblings on node and zone. */
function spreadDomains(pod: Pod, view: ClusterView): SpreadDomains[] {
  const constraints = spreadConstraints(pod, 'ScheduleAnyway');
  if ((pod.spec.topologySpreadConstraints ?? []).length > 0)
    return constraints.map((constraint) => softDomain(constraint, pod, view));
  const owner = controllerOf(pod)?.uid;
  if (owner === undefined) return [];
  return ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => {
    const counts = new Map<string | undefined, number>();
    for (const { node, pods } of view.nodes) {
      const siblings = pods.filter((each) => isActive(each) && controllerOf(each)?.uid === owner).length;
      const value = node.metadata.labels?.[topologyKey];
      counts.set(value, (counts.get(value) ?? 0) + siblings);
    }
    return { topologyKey, countAt: (value) => counts.get(value) ?? 0 };
  });
}

function softDomain(constraint: TopologySpreadConstraint, pod: Pod, view: ClusterView): SpreadDomains {
  const counts = spreadCounts(constraint, pod, view);
  // A node outside every domain is the last choice, not an empty one.
  const outside = Math.max(0, ...counts.values()) + 1;
  return {
    topologyKey: constraint.topologyKey,
    countAt: (value) => (value === undefined ? outside : (counts.get(value) ?? 0)),
  };
}

/** The mean share of CPU and memory that stays free with the pod on the node. */
function freeShare(pod: Pod): (state: ScheduledNode) => number {
  const request = (each: Pod, resource: string): number =>
    requestOf(each, resource) || (unstatedRequests[resource] ?? 0);
  const resources = Object.keys(unstatedRequests);
  return ({ node, pods }) => {
    const shares = resources.map((resource) => {
      const has = parseQuantity(node.status?.allocatable?.[resource]) ?? 0;
      if (has <= 0) return 0;
      const living = pods.filter((each) => !isFinished(each));
      const used = [...living, pod].reduce((sum, each) => sum + request(each, resource), 0);
      return Math.max(0, has - used) / has;
    });
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  };
}
