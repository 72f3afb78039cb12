import type { ContainerStatus, Pod } from '#base/kube/types.js';

/** The one reason that matters most for a pod not being ready, by its status. */
export function podReason(pod: Pod): string {
  const unscheduled = pod.status?.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False');
  if (unscheduled !== undefined) return `not scheduled: ${unscheduled.message ?? unscheduled.reason ?? ''}`;
  const initializing = (pod.status?.initContainerStatuses ?? []).filter(isUnfinished);
  for (const status of initializing) {
    const reason = containerReason('init container', status);
    if (reason !== undefined) return reason;
  }
  for (const status of pod.status?.containerStatuses ?? []) {
    const reason = containerReason('container', status);
    if (reason !== undefined) return reason;
  }
  return `phase ${pod.status?.phase ?? 'unknown'}`;
}

/** Neither run to its end nor, as a sidecar, started. */
function isUnfinished({ state, started }: ContainerStatus): boolean {
  return state?.terminated?.exitCode !== 0 && started !== true;
}

function containerReason(what: string, status: ContainerStatus): string | undefined {
  const { waiting, terminated, running } = status.state ?? {};
  if (waiting !== undefined) {
    const last = status.lastState?.terminated;
    const ended = last === undefined ? '' : `, last exit code ${last.exitCode}`;
    return `${what} ${status.name} waits: ${waiting.reason ?? ''} ${waiting.message ?? ''}`.trim() + ended;
  }
  if (terminated !== undefined) return `${what} ${status.name} ended with exit code ${terminated.exitCode}`;
  if (what !== 'container') return running === undefined ? undefined : `${what} ${status.name} runs`;
  if (status.ready !== true) return `container ${status.name} runs but its readiness probe fails`;
  return undefined;
}

/** Reasons to wait that every starting pod has for a while. */
const ordinaryWaits: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing']);

/** Whether something keeps the pod from starting: it is more than a matter of moments. */
export function isHeldUp(pod: Pod): boolean {
  const { conditions = [], initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  return (
    conditions.some((c) => c.type === 'PodScheduled' && c.status === 'False') ||
    [...initContainerStatuses, ...containerStatuses].some(
      ({ state }) => state?.waiting?.reason !== undefined && !ordinaryWaits.has(state.waiting.reason),
    )
  );
}
