import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '#base/kube/client.js';
import { redirection } from '#base/kube/labels.js';
import { enrollablePods, type EnrollmentQuery, observeEnrollment, type PodEnrollment } from './enrollment.js';

/** Between two looks, in milliseconds: the labels cost one request, the witnesses one for each node. */
const pollMs = 120;
/** Pods that are about to start are waited for so long, in milliseconds, so that they are among those proven. */
const startGraceMs = 10_000;

/**
 * Waits until what is observed of every pod of the namespaces agrees with its labels, for a moment also of pods that
 * are starting. One that cannot start holds nothing up: the plugin captures it before its first container runs.
 * Resolves with the last observation, also when `timeoutMs` passed: then some pods have something `missing`.
 */
export async function waitForEnrollment(
  client: KubeClient,
  query: EnrollmentQuery,
  o: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    readonly onWait: (remaining: string) => void;
  },
): Promise<readonly PodEnrollment[]> {
  const deadline = performance.now() + o.timeoutMs;
  const startDeadline = performance.now() + Math.min(startGraceMs, o.timeoutMs);
  for (;;) {
    o.signal.throwIfAborted();
    const isLate = performance.now() >= deadline;
    const lagging = await laggingAnnotations(client, query);
    if (lagging > 0 && !isLate) {
      o.onWait(`pods left: ${lagging}`);
    } else {
      const seen = await observeEnrollment(client, query, Date.now);
      const proven = seen.map(withoutBenefitOfDoubt);
      const isStartAwaited = performance.now() < startDeadline;
      const left = proven.filter(
        (p) => p.missing.length > 0 || (isStartAwaited && p.notStarted?.isHeldUp === false),
      );
      if (left.length === 0 || isLate) return proven;
      o.onWait(`pods left: ${left.length} of ${seen.length}`);
    }
    await delay(pollMs, undefined, { signal: o.signal });
  }
}

/** Pods whose annotation does not match their labels yet: while there are any, the witnesses need no asking. */
async function laggingAnnotations(client: KubeClient, query: EnrollmentQuery): Promise<number> {
  const subjects = await enrollablePods(client, query);
  return subjects.filter(({ pod, intent }) => {
    const annotation = pod.metadata.annotations?.[redirection];
    if (!intent.isEnrolled) return annotation !== undefined;
    return pod.status?.phase === 'Running' && annotation !== 'enabled';
  }).length;
}

/** Proof was asked for: where nobody could look, there is none. */
function withoutBenefitOfDoubt(seen: PodEnrollment): PodEnrollment {
  if (seen.unobserved === undefined || seen.missing.length > 0) return seen;
  return { ...seen, missing: [`capture not observed: ${seen.unobserved}`] };
}
