import type { Pod } from '#base/kube/types.js';
import type { Job } from '../../objects.js';
import { conditionOf } from '../conditions.js';
import { isFinished } from '../pod-state.js';
import { earlierFailures, indexOf, parseIndexRanges } from './job-indexes.js';
import { judgeFailure } from './pod-failure-policy.js';

/** Keeps an ended pod from disappearing before it has been counted. */
export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';

/** What a Job's pods have come to, those counted long ago included. */
export interface JobTally {
  readonly succeeded: number;
  readonly failed: number;
  readonly completedIndexes: readonly number[];
  readonly failedIndexes: readonly number[];
  /** Uids that are in the totals above but not yet in the counts of the Job's status. */
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] };
  /** Ended pods that the status does not know of yet, whether they count or are ignored. */
  readonly newlyEnded: readonly Pod[];
  /** Why the Job has to fail at once, from its podFailurePolicy. */
  readonly fatal: string | undefined;
  readonly active: readonly Pod[];
  readonly terminating: readonly Pod[];
}

/** Adds what has ended since the status was written. Counting happens once: only pods with the finalizer are new. */
export function tallyJob(job: Job, pods: readonly Pod[]): JobTally {
  const { completions, completionMode, backoffLimitPerIndex } = job.spec;
  const status = job.status ?? {};
  const isIndexed = completionMode === 'Indexed';
  const limit = isIndexed ? (completions ?? 0) : 0;
  const succeeded = new Set(status.uncountedTerminatedPods?.succeeded ?? []);
  const failed = new Set(status.uncountedTerminatedPods?.failed ?? []);
  const completed = new Set(parseIndexRanges(status.completedIndexes, limit));
  const failedIndexes = new Set(parseIndexRanges(status.failedIndexes, limit));
  const newlyEnded: Pod[] = [];
  let fatal: string | undefined;
  for (const pod of pods) {
    const uid = pod.metadata.uid ?? '';
    if (!isTracked(pod) || succeeded.has(uid) || failed.has(uid)) continue;
    const index = indexOf(pod);
    const isCounted = !isIndexed || (index !== undefined && index < limit);
    if (pod.status?.phase === 'Succeeded') {
      newlyEnded.push(pod);
      if (isIndexed && index !== undefined && isCounted) completed.add(index);
      if (!isIndexed) succeeded.add(uid);
    } else if (hasFailed(job, pod)) {
      newlyEnded.push(pod);
      const verdict = judgeFailure(job, pod);
      if (verdict.action === 'Ignore') continue;
      if (verdict.action === 'FailJob') fatal ??= verdict.message;
      if (isCounted) failed.add(uid);
      const isIndexOver =
        backoffLimitPerIndex !== undefined &&
        (verdict.action === 'FailIndex' || earlierFailures(pod) + 1 > backoffLimitPerIndex);
      if (isIndexOver && index !== undefined && isCounted) failedIndexes.add(index);
    }
  }
  const sorted = (set: ReadonlySet<number>): number[] => [...set].toSorted((a, b) => a - b);
  return {
    succeeded: isIndexed ? completed.size : (status.succeeded ?? 0) + succeeded.size,
    failed: (status.failed ?? 0) + failed.size,
    completedIndexes: sorted(completed),
    failedIndexes: sorted(failedIndexes).filter((index) => !completed.has(index)),
    uncounted: { succeeded: [...succeeded], failed: [...failed] },
    newlyEnded,
    fatal,
    ...livingPods(pods),
  };
}

/** Pods that have not ended: those at work, and those asked to stop. */
export function livingPods(pods: readonly Pod[]): Pick<JobTally, 'active' | 'terminating'> {
  const living = pods.filter((pod) => !isFinished(pod));
  return {
    active: living.filter((pod) => pod.metadata.deletionTimestamp === undefined),
    terminating: living.filter((pod) => pod.metadata.deletionTimestamp !== undefined),
  };
}

/** Whether a pod that was asked to stop is replaced, and judged, only once it has ended. */
export function waitsForEnd(job: Job): boolean {
  return job.spec.podReplacementPolicy === 'Failed' || job.spec.podFailurePolicy !== undefined;
}

/** True while the pod carries the finalizer. */
export function isTracked(pod: Pod): boolean {
  return pod.metadata.finalizers?.includes(trackingFinalizer) === true;
}

/** A pod that is being deleted counts as failed at once, unless the Job wants to see it end first. */
function hasFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return pod.metadata.deletionTimestamp !== undefined && !waitsForEnd(job);
}

/** The Job's final condition, once it has one. */
export function finalCondition(job: Job): ReturnType<typeof conditionOf> {
  return ['Complete', 'Failed']
    .map((type) => conditionOf(job.status?.conditions, type))
    .find((condition) => condition?.status === 'True');
}
