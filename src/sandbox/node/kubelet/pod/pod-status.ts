import type { KubeletPod } from '../../model/pod.js';
import type { KubeletContainerStatus, PodCondition, KubeletPodStatus } from '../../model/pod-status.js';
import type { ContainerSlot, SlotKind } from '../container/container-slot.js';
import { podConditions } from './pod-conditions.js';
import { podPhase } from './pod-phase.js';
import { qosClass } from '../qos-class.js';

/** Why the pod as a whole failed: DeadlineExceeded, Evicted, OutOfcpu. */
export interface PodFailure {
  readonly reason: string;
  readonly message: string;
  /** The kubelet ended a pod that could have gone on. */
  readonly isDisruption?: boolean;
}

export interface StatusInput {
  readonly pod: KubeletPod;
  readonly slots: readonly ContainerSlot[];
  readonly ips: readonly string[];
  readonly nodeIps: readonly string[];
  readonly hasSandbox: boolean;
  /** Nothing will be started any more: the pod is being deleted or has failed. */
  readonly isTerminal: boolean;
  readonly startTime: string;
  readonly now: string;
  readonly failure: PodFailure | undefined;
  readonly runtimeName: string;
  /** Conditions as last published, whose transition times continue. */
  readonly published: readonly PodCondition[];
}

/** Builds the status a kubelet publishes from what the containers really do. Pure. */
export function buildPodStatus(input: StatusInput): KubeletPodStatus {
  const { pod, slots, failure, nodeIps, ips } = input;
  const statuses = (...kinds: SlotKind[]): KubeletContainerStatus[] =>
    slots.filter((s) => kinds.includes(s.kind)).map((s) => s.status(input.runtimeName));
  const initStatuses = statuses('init', 'sidecar');
  const ephemeralStatuses = statuses('ephemeral');
  // A pod being stopped for its failure is not Failed before its containers have ended.
  const isOver = !slots.some((s) => s.isRunning);
  const phase = failure !== undefined && isOver ? 'Failed' : podPhase(pod, slots, input);
  const [podIP] = ips;
  const [hostIP] = nodeIps;
  return {
    phase,
    ...(failure === undefined ? {} : { reason: failure.reason, message: failure.message }),
    conditions: podConditions({
      ...input,
      phase,
      disruption: failure?.isDisruption === true ? { message: failure.message } : undefined,
    }),
    ...(hostIP === undefined ? {} : { hostIP, hostIPs: nodeIps.map((ip) => ({ ip })) }),
    ...(podIP === undefined ? {} : { podIP, podIPs: ips.map((ip) => ({ ip })) }),
    startTime: input.startTime,
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses('main'),
    ...(ephemeralStatuses.length === 0 ? {} : { ephemeralContainerStatuses: ephemeralStatuses }),
    qosClass: pod.status?.qosClass ?? qosClass(pod),
  };
}
