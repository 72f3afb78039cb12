import type { Pod } from '#base/kube/types.js';
import type { Job } from '../../objects.js';
import { conditionOf } from '../conditions.js';
import { indexOf, parseIndexRanges } from './job-indexes.js';
import { type JobTally, waitsForEnd } from './job-tally.js';

const backoffLimitDefault = 6;

/** How a Job ends. */
export interface JobOutcome {
  readonly type: 'Complete' | 'Failed';
  readonly reason: string;
  readonly message: string;
}

/** What a Job needs next. */
export interface JobPlan {
  /** Known as soon as it is certain; the pods that still run are stopped first. */
  readonly outcome: JobOutcome | undefined;
  /** One entry per pod to create: its completion index, or undefined when the job is not indexed. */
  readonly toCreate: readonly (number | undefined)[];
  readonly toDelete: readonly Pod[];
}

/** Judges a Job by what its pods have come to. */
export function jobPlan(job: Job, tally: JobTally, nowMs: number): JobPlan {
  const outcome =
    decided(job) ??
    failureOf(job, tally) ??
    overdue(job, nowMs) ??
    failedIndexes(job, tally) ??
    successOf(job, tally);
  if (outcome !== undefined) return { outcome, toCreate: [], toDelete: tally.active };
  if (job.spec.suspend === true) return { outcome, toCreate: [], toDelete: tally.active };
  return { outcome, ...adjustment(job, tally) };
}

/** A verdict that has been announced already stands. */
function decided(job: Job): JobOutcome | undefined {
  for (const [criterion, type] of [
    ['FailureTarget', 'Failed'],
    ['SuccessCriteriaMet', 'Complete'],
  ] as const) {
    const condition = conditionOf(job.status?.conditions, criterion);
    if (condition?.status === 'True')
      return { type, reason: condition.reason ?? '', message: condition.message ?? '' };
  }
  return undefined;
}

function failureOf(job: Job, tally: JobTally): JobOutcome | undefined {
  if (tally.fatal !== undefined) return { type: 'Failed', reason: 'PodFailurePolicy', message: tally.fatal };
  const { backoffLimit, backoffLimitPerIndex, template } = job.spec;
  const limit =
    backoffLimit ?? (backoffLimitPerIndex === undefined ? backoffLimitDefault : Number.POSITIVE_INFINITY);
  const restarts = tally.active.reduce((total, pod) => total + restartsOf(pod), 0);
  const isWornOut =
    template.spec.restartPolicy === 'OnFailure' && (limit === 0 ? restarts > 0 : restarts >= limit);
  return tally.failed > limit || isWornOut
    ? {
        type: 'Failed',
        reason: 'BackoffLimitExceeded',
        message: 'Job has reached the specified backoff limit',
      }
    : undefined;
}

function restartsOf(pod: Pod): number {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return statuses.reduce((total, status) => total + status.restartCount, 0);
}

function overdue(job: Job, nowMs: number): JobOutcome | undefined {
  const { activeDeadlineSeconds: deadline } = job.spec;
  const startedMs = Date.parse(job.status?.startTime ?? '');
  if (deadline === undefined || Number.isNaN(startedMs) || job.spec.suspend === true) return undefined;
  return nowMs >= startedMs + deadline * 1000
    ? {
        type: 'Failed',
        reason: 'DeadlineExceeded',
        message: 'Job was active longer than specified deadline',
      }
    : undefined;
}

function failedIndexes(job: Job, tally: JobTally): JobOutcome | undefined {
  const { completions = 0, maxFailedIndexes } = job.spec;
  const failed = tally.failedIndexes.length;
  if (failed === 0) return undefined;
  if (maxFailedIndexes !== undefined && failed > maxFailedIndexes)
    return {
      type: 'Failed',
      reason: 'MaxFailedIndexesExceeded',
      message: 'Job has exceeded the specified maximal number of failed indexes',
    };
  return failed + tally.succeeded >= completions
    ? { type: 'Failed', reason: 'FailedIndexes', message: 'Job has failed indexes' }
    : undefined;
}

function successOf(job: Job, tally: JobTally): JobOutcome | undefined {
  const { completions } = job.spec;
  for (const [i, rule] of (job.spec.successPolicy?.rules ?? []).entries()) {
    const named = rule.succeededIndexes;
    const wanted = named === undefined ? undefined : parseIndexRanges(named, completions ?? 0);
    const done = tally.completedIndexes.filter((index) => wanted?.includes(index) ?? true).length;
    const needed = rule.succeededCount ?? wanted?.length ?? Number.POSITIVE_INFINITY;
    if (done >= needed)
      return { type: 'Complete', reason: 'SuccessPolicy', message: `Matched rules at index ${i}` };
  }
  const isComplete =
    completions === undefined
      ? tally.succeeded > 0 && tally.active.length === 0
      : tally.succeeded >= completions;
  return isComplete
    ? { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
    : undefined;
}

function adjustment(job: Job, tally: JobTally): Pick<JobPlan, 'toCreate' | 'toDelete'> {
  const { completions, parallelism = 1, completionMode } = job.spec;
  const { active } = tally;
  const leaving = waitsForEnd(job) ? tally.terminating : [];
  const over = tally.succeeded + tally.failedIndexes.length;
  // Without a number of completions, the first success means: no more pods.
  const stillNeeded =
    completions === undefined ? (tally.succeeded > 0 ? active.length : parallelism) : completions - over;
  const wanted = Math.min(parallelism, stillNeeded);
  if (active.length > wanted) return { toCreate: [], toDelete: active.slice(wanted) };
  const missing = Math.max(0, wanted - active.length - leaving.length);
  if (completionMode !== 'Indexed')
    return { toCreate: Array<undefined>(missing).fill(undefined), toDelete: [] };
  const taken = new Set([
    ...tally.completedIndexes,
    ...tally.failedIndexes,
    ...[...active, ...leaving].flatMap((pod) => indexOf(pod) ?? []),
  ]);
  const free = Array.from({ length: completions ?? 0 }, (_, i) => i).filter((index) => !taken.has(index));
  return { toCreate: free.slice(0, missing), toDelete: [] };
}
