import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '#base/kube/client.js';
import { redirection } from '#base/kube/labels.js';
import { enrollablePods, type EnrollmentQuery, observeEnrollment, type PodEnrollment } from './enrollment.js';

/** Between two looks, in milliseconds: the labels cost one request, the witnesses one for each node. */
const pollMs = 120;

/**
 * Waits until what is observed of every pod of the namespaces agrees with its labels,
 * also of pods that are still starting. Resolves with the last observation, also when `timeoutMs` passed: then some
 * pods have something `missing`.
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
  for (;;) {
    o.signal.throwIfAborted();
    const isLate = performance.now() >= deadline;
    const lagging = await laggingAnnotations(client, query);
    if (lagging > 0 && !isLate) {
      o.onWait(`pods left: ${lagging}`);
    } else {
      const seen = await observeEnrollment(client, query, Date.now);
      const proven = seen.map(withoutBenefitOfDoubt);
      const left = proven.filter((p) => p.missing.length > 0);
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
    if (pod.status?.phase !== 'Running') return intent.isEnrolled;
    const annotation = pod.metadata.annotations?.[redirection];
    return intent.isEnrolled ? annotation !== 'enabled' : annotation !== undefined;
  }).length;
}

/** Proof was asked for: a pod that has not started yet has given none. */
function withoutBenefitOfDoubt(seen: PodEnrollment): PodEnrollment {
  if (!seen.intent.isEnrolled || seen.phase === 'Running' || seen.missing.length > 0) return seen;
  return { ...seen, missing: [`the pod is ${seen.phase}: its capture cannot be observed before it runs`] };
}
