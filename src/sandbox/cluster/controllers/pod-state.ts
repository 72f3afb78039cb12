import type { Pod } from '#base/kube/types.js';

/** True while the pod counts toward its owner: not ended and not being deleted. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** True when all containers have ended for good. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** True when the pod's Ready condition holds. */
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

/** True when the pod has been ready for `minReadySeconds`. */
export function isAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  return isReady(pod) && availableInMs(pod, minReadySeconds, nowMs) === 0;
}

/** Milliseconds until a ready pod counts as available; 0 when it does already or is not ready. */
export function availableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number {
  if (minReadySeconds === 0 || !isReady(pod)) return 0;
  const since = pod.status?.conditions?.find((c) => c.type === 'Ready')?.lastTransitionTime;
  const readyAt = since === undefined ? nowMs : Date.parse(since);
  return Math.max(0, readyAt + minReadySeconds * 1000 - nowMs);
}

/** The shortest wait after which one of these pods becomes available; undefined when none is waiting. */
export function nextAvailabilityMs(
  pods: readonly Pod[],
  minReadySeconds: number,
  nowMs: number,
): number | undefined {
  const waits = pods.map((pod) => availableInMs(pod, minReadySeconds, nowMs)).filter((ms) => ms > 0);
  return waits.length === 0 ? undefined : Math.min(...waits);
}

/**
 * Orders pods by which is the least loss: unscheduled, not ready, a low deletion
 * cost, crowded nodes, restarted often, young. `crowd` is how many of the
 * owner's pods share the pod's node.
 */
export function compareForDeletion(
  a: { readonly pod: Pod; readonly crowd: number },
  b: { readonly pod: Pod; readonly crowd: number },
): number {
  return (
    rank(a.pod) - rank(b.pod) ||
    cost(a.pod) - cost(b.pod) ||
    b.crowd - a.crowd ||
    restarts(b.pod) - restarts(a.pod) ||
    born(b.pod) - born(a.pod) ||
    a.pod.metadata.name.localeCompare(b.pod.metadata.name)
  );
}

function rank(pod: Pod): number {
  const isAssigned = (pod.spec.nodeName ?? '') !== '';
  if (!isAssigned) return 0;
  if (pod.status?.phase !== 'Running') return 1;
  return isReady(pod) ? 3 : 2;
}

function cost(pod: Pod): number {
  const value = Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0);
  return Number.isFinite(value) ? value : 0;
}

function restarts(pod: Pod): number {
  return Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount));
}

function born(pod: Pod): number {
  return Date.parse(pod.metadata.creationTimestamp ?? '') || 0;
}
