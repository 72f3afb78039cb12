import type { Condition } from '#base/kube/types.js';
import type { Job } from '../../objects.js';
import { conditionOf, withCondition } from '../conditions.js';
import { timestamp } from '../../../base/timestamp.js';
import { indexRanges } from './job-indexes.js';
import type { JobOutcome } from './job-plan.js';
import type { JobTally } from './job-tally.js';

type Status = NonNullable<Job['status']>;

/** What the pods amount to now. */
export interface JobCounts {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
  /** Ended pods that still have to be taken into the counts. */
  readonly uncounted: { readonly succeeded: readonly string[]; readonly failed: readonly string[] };
}

/** The Job's status: counts, indexes and conditions. The final condition waits until no pod is left running. */
export function jobStatus(o: {
  readonly job: Job;
  readonly tally: JobTally;
  readonly outcome: JobOutcome | undefined;
  readonly counts: JobCounts;
  readonly nowMs: number;
}): Status {
  const { job, tally, outcome, counts, nowMs } = o;
  const old = job.status ?? {};
  const isOver = outcome !== undefined && counts.active + counts.terminating === 0;
  const isSuspended = job.spec.suspend === true && outcome === undefined;
  const wasSuspended = conditionOf(old.conditions, 'Suspended')?.status === 'True';
  const started = wasSuspended && !isSuspended ? timestamp(nowMs) : (old.startTime ?? timestamp(nowMs));
  const isIndexed = job.spec.completionMode === 'Indexed';
  const conditions = conditionsOf({ job, outcome, isOver, nowMs });
  const { succeeded, failed } = counts.uncounted;
  return {
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(isSuspended ? {} : { startTime: started }),
    ...(isOver && outcome.type === 'Complete'
      ? { completionTime: old.completionTime ?? timestamp(nowMs) }
      : {}),
    active: counts.active,
    ready: counts.ready,
    terminating: counts.terminating,
    succeeded: tally.succeeded - (isIndexed ? 0 : succeeded.length),
    failed: tally.failed - failed.length,
    ...(isIndexed ? { completedIndexes: indexRanges(tally.completedIndexes) } : {}),
    ...(job.spec.backoffLimitPerIndex === undefined
      ? {}
      : { failedIndexes: indexRanges(tally.failedIndexes) }),
    uncountedTerminatedPods: {
      ...(succeeded.length === 0 ? {} : { succeeded: [...succeeded] }),
      ...(failed.length === 0 ? {} : { failed: [...failed] }),
    },
  };
}

function conditionsOf(o: {
  readonly job: Job;
  readonly outcome: JobOutcome | undefined;
  readonly isOver: boolean;
  readonly nowMs: number;
}): Condition[] {
  const { job, outcome, nowMs } = o;
  let conditions = job.status?.conditions ?? [];
  const set = (type: string, status: 'True' | 'False', reason: string, message: string): void => {
    conditions = withCondition(conditions, { type, status, reason, message }, { nowMs });
  };
  if (outcome !== undefined) {
    const { type, reason, message } = outcome;
    set(type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget', 'True', reason, message);
    if (o.isOver) set(type, 'True', reason, message);
  } else if (job.spec.suspend === true) set('Suspended', 'True', 'JobSuspended', 'Job suspended');
  else if (conditionOf(conditions, 'Suspended')?.status === 'True')
    set('Suspended', 'False', 'JobResumed', 'Job resumed');
  return conditions;
}
