import type { Pod } from '../../../../kube/types.js';
import type { Job } from '../../objects.js';

/** The pod annotation and label that carry the index of an Indexed job. */
export const completionIndexKey = 'batch.kubernetes.io/job-completion-index';

const backoffLimitDefault = 6;

/** What a Job needs next. */
export interface JobPlan {
  readonly outcome:
    | { readonly type: 'Complete' | 'Failed'; readonly reason: string; readonly message: string }
    | undefined;
  /** One entry per pod to create: its completion index, or undefined when the job is not indexed. */
  readonly toCreate: readonly (number | undefined)[];
  readonly toDelete: readonly Pod[];
  readonly succeeded: number;
  readonly failed: number;
  readonly active: readonly Pod[];
  readonly completedIndexes: readonly number[];
}

/** Judges a Job by its pods, including ended ones: they are its memory. */
export function jobPlan(job: Job, pods: readonly Pod[], nowMs: number): JobPlan {
  const isIndexed = job.spec.completionMode === 'Indexed';
  const succeededPods = pods.filter((pod) => pod.status?.phase === 'Succeeded');
  const failed = pods.filter((pod) => pod.status?.phase === 'Failed').length;
  const active = pods.filter(
    (pod) =>
      pod.status?.phase !== 'Succeeded' &&
      pod.status?.phase !== 'Failed' &&
      pod.metadata.deletionTimestamp === undefined,
  );
  const done = new Set(succeededPods.flatMap((pod) => indexOf(pod) ?? []));
  const succeeded = isIndexed ? done.size : succeededPods.length;
  const base = { succeeded, failed, active, completedIndexes: [...done].toSorted((a, b) => a - b) };
  const end = (type: 'Complete' | 'Failed', reason: string, message: string): JobPlan => ({
    ...base,
    outcome: { type, reason, message },
    toCreate: [],
    toDelete: active,
  });
  const restarts = active.reduce(
    (total, pod) =>
      total + (pod.status?.containerStatuses ?? []).reduce((n, status) => n + status.restartCount, 0),
    0,
  );
  const limit = job.spec.backoffLimit ?? backoffLimitDefault;
  const isOnFailure = job.spec.template.spec.restartPolicy === 'OnFailure';
  if (failed > limit || (isOnFailure && limit > 0 && failed + restarts > limit)) {
    return end('Failed', 'BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const { activeDeadlineSeconds: deadline } = job.spec;
  const startedMs = Date.parse(job.status?.startTime ?? '');
  if (deadline !== undefined && !Number.isNaN(startedMs) && nowMs >= startedMs + deadline * 1000) {
    return end('Failed', 'DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  const { completions, parallelism = 1 } = job.spec;
  const isComplete =
    completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= completions;
  if (isComplete) return end('Complete', 'CompletionsReached', 'Reached expected number of succeeded pods');
  if (job.spec.suspend === true) return { ...base, outcome: undefined, toCreate: [], toDelete: active };
  // Without a number of completions, the first success means: no more pods.
  const stillNeeded =
    completions === undefined ? (succeeded > 0 ? active.length : parallelism) : completions - succeeded;
  const wanted = Math.min(parallelism, stillNeeded);
  const missing = wanted - active.length;
  const busy = new Set(active.flatMap((pod) => indexOf(pod) ?? []));
  const free = isIndexed
    ? Array.from({ length: completions ?? 0 }, (_, i) => i).filter((i) => !done.has(i) && !busy.has(i))
    : undefined;
  const toCreate: (number | undefined)[] = [];
  for (let i = 0; i < missing; i++) {
    const index = free?.[i];
    if (free !== undefined && index === undefined) break;
    toCreate.push(index);
  }
  return { ...base, outcome: undefined, toCreate, toDelete: missing < 0 ? active.slice(missing) : [] };
}

function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[completionIndexKey];
  return text === undefined ? undefined : Number(text);
}

/** `0-2,5`: the form of status.completedIndexes. */
export function indexRanges(indexes: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indexes.length; ) {
    let end = i;
    while ((indexes[end + 1] ?? Number.NaN) === (indexes[end] ?? 0) + 1) end++;
    parts.push(end === i ? String(indexes[i]) : `${indexes[i]}-${indexes[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}
