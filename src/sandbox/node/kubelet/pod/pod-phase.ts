import type { KubeletPod } from '../../model/pod.js';
import type { PodPhase } from '../../model/pod-status.js';
import type { ContainerSlot } from '../container/container-slot.js';
import { shouldRun } from './pod-slots.js';

/** What the phase makes of one container. */
type Stage = 'new' | 'running' | 'ended';

/**
 * The phase of a pod, by the rules of kubelet: a restart policy that starts a container
 * again keeps it Running, unless `isTerminal` says that nothing will be started any more.
 */
export function podPhase(
  pod: KubeletPod,
  slots: readonly ContainerSlot[],
  { isTerminal }: { isTerminal: boolean },
): PodPhase {
  const of = (kind: ContainerSlot['kind']): ContainerSlot[] => slots.filter((s) => s.kind === kind);
  const inits = of('init');
  const mains = of('main');
  const hasFailedForGood = (s: ContainerSlot): boolean =>
    stageOf(s) === 'ended' && s.terminated?.exitCode !== 0 && !shouldRun(pod, s);
  if (inits.some(hasFailedForGood)) return 'Failed';
  if (inits.some((s) => stageOf(s) !== 'ended')) return 'Pending';
  const hasBegun = mains.some((s) => stageOf(s) !== 'new');
  const isSidecarPending = of('sidecar').some((s) => stageOf(s) === 'new' || (s.isRunning && !s.isStarted));
  if ((isSidecarPending && !hasBegun) || mains.some((s) => stageOf(s) === 'new')) return 'Pending';
  if ([...mains, ...of('sidecar')].some((s) => s.isRunning)) return 'Running';
  if (!isTerminal && mains.some((s) => shouldRun(pod, s))) return 'Running';
  return mains.every((s) => s.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
}

function stageOf(slot: ContainerSlot): Stage {
  if (slot.isRunning) return 'running';
  return slot.terminated === undefined ? 'new' : 'ended';
}
