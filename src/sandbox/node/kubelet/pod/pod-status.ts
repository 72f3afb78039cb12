import type { ContainerStatus, Pod, PodCondition, PodPhase, PodStatus } from '../../model/pod.js';
import { parseQuantity } from '../../../../kube/quantity.js';
import type { ContainerSlot } from '../container/container-slot.js';

export interface StatusInput {
  readonly pod: Pod;
  readonly slots: readonly ContainerSlot[];
  readonly ips: readonly string[];
  readonly nodeIp: string;
  readonly hasSandbox: boolean;
  readonly startTime: string;
  readonly now: string;
  /** Set when the pod as a whole failed: DeadlineExceeded, Evicted. */
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
  readonly runtimeName: string;
  /** Conditions as last published, whose transition times continue. */
  readonly published: readonly PodCondition[];
}

/** Builds the status a kubelet publishes from what the containers really do. Pure. */
export function buildPodStatus(input: StatusInput): PodStatus {
  const { pod, slots } = input;
  const statuses = (kinds: readonly string[]): ContainerStatus[] =>
    slots.filter((s) => kinds.includes(s.kind)).map((s) => s.status(input.runtimeName));
  const initStatuses = statuses(['init', 'sidecar']);
  const phase = input.failure === undefined ? podPhase(pod, slots) : 'Failed';
  return {
    phase,
    ...input.failure,
    conditions: conditions(input, phase),
    hostIP: input.nodeIp,
    hostIPs: [{ ip: input.nodeIp }],
    ...(input.ips[0] === undefined ? {} : { podIP: input.ips[0], podIPs: input.ips.map((ip) => ({ ip })) }),
    startTime: input.startTime,
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses(['main']),
    qosClass: qosClass(pod),
  };
}

/** The phase of a pod (kubelet's getPhase): the restart policy decides whether an end is final. */
export function podPhase(pod: Pod, slots: readonly ContainerSlot[]): PodPhase {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const inits = slots.filter((s) => s.kind === 'init');
  const mains = slots.filter((s) => s.kind === 'main');
  if (inits.some((s) => isFinallyFailed(s) && policy === 'Never')) return 'Failed';
  // Sidecars end after the containers they serve: they have no say once those have begun.
  const hasBegun = (s: ContainerSlot): boolean => s.container !== undefined || s.terminated !== undefined;
  if (!mains.every(hasBegun)) return 'Pending';
  if (mains.some((s) => s.isRunning) || policy === 'Always') return 'Running';
  if (mains.every((s) => s.terminated?.exitCode === 0)) return 'Succeeded';
  return policy === 'Never' ? 'Failed' : 'Running';
}

/** Every init container has done its work, and sidecars have started. */
export function isInitialized(slots: readonly ContainerSlot[]): boolean {
  return slots.every(
    (s) =>
      s.kind === 'main' || (s.kind === 'init' ? s.terminated?.exitCode === 0 : s.isRunning && s.isStarted),
  );
}

function isFinallyFailed(slot: ContainerSlot): boolean {
  return !slot.isRunning && slot.terminated !== undefined && slot.terminated.exitCode !== 0;
}

/** Types this kubelet owns; others (readiness gates) are kept as somebody else wrote them. */
const ownTypes = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
]);

function conditions(input: StatusInput, phase: PodPhase): PodCondition[] {
  const { pod, slots } = input;
  const old = input.published.length > 0 ? input.published : (pod.status?.conditions ?? []);
  const foreign = (pod.status?.conditions ?? []).filter((c) => !ownTypes.has(c.type));
  const isDone = phase === 'Succeeded' || phase === 'Failed';
  const unready = slots
    .filter((s) => s.kind !== 'init' && !(s.isRunning && s.isReady))
    .map((s) => s.spec.name);
  const uninitialized = slots.filter((s) => s.kind !== 'main' && !isInitialized([s])).map((s) => s.spec.name);
  const containersReady: Facts =
    isDone && phase === 'Succeeded'
      ? { isTrue: false, reason: 'PodCompleted' }
      : phase === 'Failed'
        ? { isTrue: false, reason: 'PodFailed' }
        : unready.length === 0
          ? { isTrue: true }
          : {
              isTrue: false,
              reason: 'ContainersNotReady',
              message: `containers with unready status: [${unready.join(' ')}]`,
            };
  const closedGates = (pod.spec.readinessGates ?? [])
    .map((g) => g.conditionType)
    .filter((type) => foreign.find((c) => c.type === type)?.status !== 'True');
  const ready: Facts =
    containersReady.isTrue && closedGates.length > 0
      ? {
          isTrue: false,
          reason: 'ReadinessGatesNotReady',
          message: `the status of pod readiness gates ${JSON.stringify(closedGates)} is not "True"`,
        }
      : containersReady;
  const initialized: Facts =
    uninitialized.length === 0 || phase !== 'Pending'
      ? { isTrue: true, ...(phase === 'Succeeded' ? { reason: 'PodCompleted' } : {}) }
      : {
          isTrue: false,
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: [${uninitialized.join(' ')}]`,
        };
  const make = (type: string, facts: Facts): PodCondition => condition(type, facts, { old, now: input.now });
  return [
    make('PodReadyToStartContainers', { isTrue: input.hasSandbox }),
    make('Initialized', initialized),
    make('Ready', ready),
    make('ContainersReady', containersReady),
    make('PodScheduled', { isTrue: true }),
    ...foreign,
  ];
}

interface Facts {
  readonly isTrue: boolean;
  readonly reason?: string;
  readonly message?: string;
}

function condition(
  type: string,
  facts: Facts,
  { old, now }: { old: readonly PodCondition[]; now: string },
): PodCondition {
  const before = old.find((c) => c.type === type);
  const status = facts.isTrue ? 'True' : 'False';
  return {
    type,
    status,
    lastProbeTime: null,
    lastTransitionTime: before?.status === status ? (before.lastTransitionTime ?? now) : now,
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    ...(facts.message === undefined ? {} : { message: facts.message }),
  };
}

/** Quality of service class (core/v1, PodQOSClass), from cpu and memory alone. */
export function qosClass(pod: Pod): string {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const names = ['cpu', 'memory'] as const;
  const value = (map: Readonly<Record<string, string | number>> | undefined, name: string): number =>
    parseQuantity(map?.[name]) ?? 0;
  const isBestEffort = all.every((c) =>
    names.every((n) => value(c.resources?.limits, n) === 0 && value(c.resources?.requests, n) === 0),
  );
  if (isBestEffort) return 'BestEffort';
  const isGuaranteed = all.every((c) =>
    names.every((n) => {
      const limit = value(c.resources?.limits, n);
      return (
        limit > 0 && (c.resources?.requests?.[n] === undefined || value(c.resources.requests, n) === limit)
      );
    }),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
