import type { KubeletPod } from '../../model/pod.js';
import type { PodCondition, PodPhase } from '../../model/pod-status.js';
import type { ContainerSlot } from '../container/container-slot.js';
import { isInitialized } from './pod-slots.js';

export interface ConditionInput {
  readonly pod: KubeletPod;
  readonly slots: readonly ContainerSlot[];
  readonly phase: PodPhase;
  readonly hasSandbox: boolean;
  readonly now: string;
  /** The kubelet ends the pod itself (eviction); null otherwise. */
  readonly disruption: { readonly message: string } | undefined;
  /** Conditions as last published, whose transition times continue. */
  readonly published: readonly PodCondition[];
}

/** The part of a condition that is decided here. */
interface Facts {
  readonly isTrue: boolean;
  readonly reason?: string;
  readonly message?: string;
}

/** The conditions a kubelet owns, in the order kubectl describe shows them. Pure. */
export function podConditions(input: ConditionInput): PodCondition[] {
  const containersReady = containersReadyFacts(input);
  const facts: [string, Facts][] = [
    ['PodReadyToStartContainers', { isTrue: input.hasSandbox }],
    ['Initialized', initializedFacts(input)],
    ['Ready', readyFacts(input, containersReady)],
    ['ContainersReady', containersReady],
    ['PodScheduled', { isTrue: true }],
  ];
  if (input.disruption !== undefined)
    facts.unshift([
      'DisruptionTarget',
      { isTrue: true, reason: 'TerminationByKubelet', ...input.disruption },
    ]);
  const old = input.published.length > 0 ? input.published : (input.pod.status?.conditions ?? []);
  return facts.map(([type, f]) => condition(type, f, { old, now: input.now }));
}

function containersReadyFacts({ slots, phase }: ConditionInput): Facts {
  if (phase === 'Succeeded') return { isTrue: false, reason: 'PodCompleted' };
  if (phase === 'Failed') return { isTrue: false, reason: 'PodFailed' };
  const unready = slots
    .filter((s) => (s.kind === 'main' || s.kind === 'sidecar') && !(s.isRunning && s.isReady))
    .map((s) => s.spec.name);
  if (unready.length === 0) return { isTrue: true };
  return {
    isTrue: false,
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  };
}

function readyFacts({ pod }: ConditionInput, containersReady: Facts): Facts {
  if (!containersReady.isTrue) return containersReady;
  const problems = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const gate = pod.status?.conditions?.find((c) => c.type === conditionType);
    if (gate === undefined)
      return `corresponding condition of pod readiness gate "${conditionType}" does not exist.`;
    return gate.status === 'True'
      ? []
      : `the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`;
  });
  if (problems.length === 0) return containersReady;
  return { isTrue: false, reason: 'ReadinessGatesNotReady', message: problems.join(', ') };
}

function initializedFacts({ slots, phase }: ConditionInput): Facts {
  if (phase === 'Succeeded') return { isTrue: true, reason: 'PodCompleted' };
  // Restarting sidecars do not undo it once the containers they serve have begun.
  const hasBegun = slots.some((s) => s.kind === 'main' && (s.isRunning || s.hasRun));
  const incomplete = slots
    .filter((s) => !(s.kind === 'sidecar' && hasBegun) && !isInitialized([s]))
    .map((s) => s.spec.name);
  if (incomplete.length === 0) return { isTrue: true };
  return {
    isTrue: false,
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${incomplete.join(' ')}]`,
  };
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
