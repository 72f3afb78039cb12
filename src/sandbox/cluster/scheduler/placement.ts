import { labelSelectorMatches } from '../../../kube/labels.js';
import type { LabelSelector, Node, Pod } from '../../../kube/types.js';
import { controllerOf } from '../cache/object-cache.js';
import { isActive, isFinished } from '../controllers/pod-state.js';
import { nodeMatches, termMatches } from '../../../kube/node-selector.js';
import { parseQuantity } from '../../../kube/quantity.js';
import { untolerated } from './node-fit.js';

/** A node with the pods assigned to it. */
export interface NodeState {
  readonly node: Node;
  readonly pods: readonly Pod[];
}

/** Where a pod goes, or why no node takes it, in the words kubectl users know. */
export type Placement = { readonly node: string } | { readonly reasons: ReadonlyMap<string, number> };

interface AffinityTerm {
  readonly labelSelector?: LabelSelector;
  readonly topologyKey: string;
  readonly namespaces?: readonly string[];
}

/** Chooses the node for a pod: filters, then the highest score; ties go to the node with fewer pods, then by name. */
export function placePod(pod: Pod, nodes: readonly NodeState[]): Placement {
  const reasons = new Map<string, number>();
  const fitting: NodeState[] = [];
  for (const state of nodes) {
    const reason = whyNot(pod, state, nodes);
    if (reason === undefined) fitting.push(state);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const [first, ...others] = fitting;
  if (first === undefined) return { reasons };
  const scored = (state: NodeState): Scored => ({ state, score: score(pod, state) });
  return { node: others.map(scored).reduce(better, scored(first)).state.node.metadata.name };
}

interface Scored {
  readonly state: NodeState;
  readonly score: number;
}

function better(a: Scored, b: Scored): Scored {
  if (a.score !== b.score) return a.score > b.score ? a : b;
  const crowdA = a.state.pods.filter(isActive).length;
  const crowdB = b.state.pods.filter(isActive).length;
  if (crowdA !== crowdB) return crowdA < crowdB ? a : b;
  return a.state.node.metadata.name <= b.state.node.metadata.name ? a : b;
}

/** The message of the FailedScheduling event and of the PodScheduled condition. */
export function describeFailure(reasons: ReadonlyMap<string, number>, nodeCount: number): string {
  if (nodeCount === 0) return 'no nodes available to schedule pods';
  const parts = [...reasons]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([reason, n]) => `${n} ${reason}`);
  return `0/${nodeCount} nodes are available: ${parts.join(', ')}.`;
}

function whyNot(pod: Pod, state: NodeState, all: readonly NodeState[]): string | undefined {
  const { node } = state;
  const tolerations = pod.spec.tolerations ?? [];
  if (
    pod.spec.nodeName !== undefined &&
    pod.spec.nodeName !== '' &&
    pod.spec.nodeName !== node.metadata.name
  ) {
    return "node(s) didn't match the requested node name";
  }
  const unschedulable = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
  if (
    node.spec?.unschedulable === true &&
    untolerated([unschedulable], tolerations, ['NoSchedule']) !== undefined
  ) {
    return 'node(s) were unschedulable';
  }
  const taint = untolerated(node.spec?.taints, tolerations, ['NoSchedule', 'NoExecute']);
  if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  if (!nodeMatches(pod.spec, node)) return "node(s) didn't match Pod's node affinity/selector";
  if (hasPortConflict(pod, state)) return "node(s) didn't have free ports for the requested pod ports";
  return lacking(pod, state) ?? affinityProblem(pod, state, all);
}

function hasPortConflict(pod: Pod, state: NodeState): boolean {
  const wanted = hostPorts(pod);
  if (wanted.length === 0) return false;
  const taken = new Set(state.pods.filter((each) => !isFinished(each)).flatMap(hostPorts));
  return wanted.some((port) => taken.has(port));
}

function hostPorts(pod: Pod): string[] {
  return pod.spec.containers.flatMap((container) =>
    (container.ports ?? [])
      .map((port) => ({
        port,
        number: port.hostPort ?? (pod.spec.hostNetwork === true ? port.containerPort : 0),
      }))
      .filter(({ number }) => number > 0)
      .map(({ port, number }) => `${port.protocol ?? 'TCP'}/${number}`),
  );
}

function lacking(pod: Pod, state: NodeState): string | undefined {
  const allocatable = state.node.status?.allocatable;
  if (allocatable === undefined) return undefined;
  const living = state.pods.filter((each) => !isFinished(each));
  if (allocatable['pods'] !== undefined && living.length + 1 > (parseQuantity(allocatable['pods']) ?? 0))
    return 'Too many pods';
  for (const resource of ['cpu', 'memory', 'ephemeral-storage']) {
    const wanted = requestOf(pod, resource);
    if (wanted === 0 || allocatable[resource] === undefined) continue;
    const used = living.reduce((total, each) => total + requestOf(each, resource), 0);
    // The sum of decimal fractions is not exact; a millionth of a core is no reason to refuse.
    if (used + wanted > (parseQuantity(allocatable[resource]) ?? 0) + 1e-6) return `Insufficient ${resource}`;
  }
  return undefined;
}

/** What a pod occupies: its containers together, or its largest init container if that is more. */
export function requestOf(pod: Pod, resource: string): number {
  const of = (container: Pod['spec']['containers'][number]): number =>
    parseQuantity(container.resources?.requests?.[resource]) ?? 0;
  const inits = pod.spec.initContainers ?? [];
  const sidecars = inits.filter((each) => each.restartPolicy === 'Always');
  const running = [...pod.spec.containers, ...sidecars].reduce((total, each) => total + of(each), 0);
  const starting = inits.filter((each) => each.restartPolicy !== 'Always').map(of);
  return Math.max(running, ...starting);
}

function affinityProblem(pod: Pod, state: NodeState, all: readonly NodeState[]): string | undefined {
  for (const term of requiredTerms(pod.spec.affinity?.podAffinity)) {
    const isFirstOfItsKind =
      labelSelectorMatches(term.labelSelector, pod.metadata.labels) &&
      !all.some((each) => each.pods.some((other) => isMatch(term, pod, other)));
    const domain = domainOf(term, state, all);
    if (domain === undefined || (!isFirstOfItsKind && !domain.some((other) => isMatch(term, pod, other)))) {
      return "node(s) didn't match pod affinity rules";
    }
  }
  for (const term of requiredTerms(pod.spec.affinity?.podAntiAffinity)) {
    if (domainOf(term, state, all)?.some((other) => isMatch(term, pod, other))) {
      return "node(s) didn't match pod anti-affinity rules";
    }
  }
  // Pods already there may not want this one beside them.
  for (const other of all.flatMap((each) => each.pods)) {
    for (const term of requiredTerms(other.spec.affinity?.podAntiAffinity)) {
      if (!isActive(other) || !isMatch(term, other, pod)) continue;
      if (domainOf(term, state, all)?.includes(other)) {
        return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
    }
  }
  return undefined;
}

function requiredTerms(affinity: Record<string, unknown> | undefined): AffinityTerm[] {
  const terms = affinity?.['requiredDuringSchedulingIgnoredDuringExecution'];
  // The API server has validated the shape.
  return Array.isArray(terms) ? (terms as AffinityTerm[]) : [];
}

/** Pods on nodes that share the node's topology value; undefined when the node has no such label. */
function domainOf(term: AffinityTerm, state: NodeState, all: readonly NodeState[]): Pod[] | undefined {
  const value = state.node.metadata.labels?.[term.topologyKey];
  if (value === undefined) return undefined;
  return all
    .filter((each) => each.node.metadata.labels?.[term.topologyKey] === value)
    .flatMap((each) => each.pods.filter(isActive));
}

function isMatch(term: AffinityTerm, owner: Pod, other: Pod): boolean {
  const namespaces = term.namespaces ?? [owner.metadata.namespace ?? ''];
  return (
    namespaces.includes(other.metadata.namespace ?? '') &&
    isActive(other) &&
    labelSelectorMatches(term.labelSelector, other.metadata.labels)
  );
}

/** Weights: staying away from replicas of the same owner outweighs any one preference. */
const spreadWeight = 200;
const preferNoScheduleWeight = 300;

function score(pod: Pod, { node, pods }: NodeState): number {
  const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const preference = preferred.reduce(
    (total, each) => total + (termMatches(each.preference, node) ? each.weight : 0),
    0,
  );
  const owner = controllerOf(pod)?.uid;
  const siblings =
    owner === undefined
      ? 0
      : pods.filter((each) => isActive(each) && controllerOf(each)?.uid === owner).length;
  const isAvoided = untolerated(node.spec?.taints, pod.spec.tolerations, ['PreferNoSchedule']) !== undefined;
  return preference - siblings * spreadWeight - (isAvoided ? preferNoScheduleWeight : 0);
}
