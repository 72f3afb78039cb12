import type { PodEnrollment } from '#mesh/inspect/enrollment.js';

/** The verdict on a pod, as tables show it. */
export function observedText({ observed }: PodEnrollment): string {
  return observed === 'notStarted' ? 'not started' : observed;
}
