import { jobs } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import type { Job } from '../../objects.js';
import { conditionOf } from '../conditions.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { PodControl } from '../pod-control.js';
import { isReady } from '../pod-state.js';
import { reportAfter } from '../report-after.js';
import { RetryDelays } from '../retry-delays.js';
import { writeStatus } from '../status-writer.js';
import { earlierFailures, indexOf } from './job-indexes.js';
import { type JobPlan, jobPlan } from './job-plan.js';
import { jobPod } from './job-pod.js';
import { jobStatus } from './job-status.js';
import { finalCondition, isTracked, type JobTally, livingPods, tallyJob } from './job-tally.js';
import { untrack } from './job-tracking.js';

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly queue: ControllerQueue;
  readonly jobs: ObjectCache<Job>;
  readonly control: PodControl;
  /** Between a failed pod and its replacement. */
  readonly delays: RetryDelays;
  readonly failuresSeen: Map<string, number>;
}

/** The only manager in spec.managedBy whose Jobs are ours. */
const ownName = 'kubernetes.io/job-controller';

/** Runs pods of a Job until enough have succeeded or too many have failed. */
export function jobController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    queue,
    jobs: deps.caches.of<Job>(jobs),
    control: new PodControl(deps),
    delays: new RetryDelays({ minMs: 10_000, maxMs: 600_000 }),
    failuresSeen: new Map(),
  };
  context.jobs.onChange(({ object, isGone }) => {
    if (isGone) context.failuresSeen.delete(object.metadata.uid ?? '');
    queue.add(keyOfObject(object));
  });
  context.control.pods.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'Job') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  return {
    name: 'job',
    keys: () => context.jobs.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const job = context.jobs.get(namespace, name);
      if (job === undefined || (job.spec.managedBy ?? ownName) !== ownName) return;
      if (job.metadata.deletionTimestamp !== undefined || isEnded(job)) {
        await untrack(deps, context.control.pods, context.control.pods.ownedBy(job.metadata.uid));
        if (job.metadata.deletionTimestamp === undefined) await expire(context, job);
      } else await advance(context, job);
    },
  };
}

/** True when the job has its final condition. */
export function isEnded(job: Job): boolean {
  return finalCondition(job) !== undefined;
}

async function advance(context: Context, seen: Job): Promise<void> {
  const nowMs = Date.now();
  const key = keyOfObject(seen);
  const pods = await context.control.claim(
    seen,
    seen.spec.selector ?? { matchLabels: { 'batch.kubernetes.io/controller-uid': seen.metadata.uid ?? '' } },
  );
  const tally = tallyJob(seen, pods);
  const plan = jobPlan(seen, tally, nowMs);
  const job = await recordEnded(context, { job: seen, tally, plan, nowMs });
  await untrack(context.deps, context.control.pods, countable({ job, tally, plan, pods }));
  const wait = plan.toCreate.length > 0 ? backoffMs(context, job, tally) : 0;
  // Pods that are stopped for no fault of theirs are not counted as failures.
  if (plan.outcome === undefined) await untrack(context.deps, context.control.pods, plan.toDelete);
  if (wait > 0) context.queue.addAfter(key, wait);
  const written = await reportAfter(
    async () => {
      await context.control.deleteMany(job, plan.toDelete);
      if (wait === 0) await createPods(context, { job, plan, pods });
    },
    () => report(context, { job, tally, plan, nowMs }),
  );
  announce(context, seen, written);
  if (isEnded(written)) {
    await expire(context, written);
    return;
  }
  const { activeDeadlineSeconds: deadline } = job.spec;
  const started = Date.parse(written.status?.startTime ?? '');
  if (deadline !== undefined && !Number.isNaN(started))
    context.queue.addAfter(key, Math.max(0, started + deadline * 1000 - nowMs) + 50);
}

interface Step {
  readonly job: Job;
  readonly tally: JobTally;
  readonly plan: JobPlan;
  readonly nowMs: number;
}

/** Writes down which pods are about to be counted, before they are free to go: a crash in between must not count twice. */
async function recordEnded(context: Context, step: Step): Promise<Job> {
  const { job, tally } = step;
  if (tally.newlyEnded.length === 0) return job;
  const counts = {
    active: tally.active.length,
    ready: tally.active.filter(isReady).length,
    terminating: tally.terminating.length,
    uncounted: tally.uncounted,
  };
  // The outcome is announced with the final counts, not with these.
  const status = jobStatus({ job, tally, outcome: undefined, counts, nowMs: step.nowMs });
  return writeStatus(context.deps.client, { resource: jobs, cache: context.jobs }, job, {
    ...status,
    ...(job.status?.conditions === undefined ? {} : { conditions: job.status.conditions }),
  });
}

/** Ended pods nobody needs any more. With a limit per index, the last failed pod of an index stays until its successor knows how often it failed. */
function countable(o: {
  readonly job: Job;
  readonly tally: JobTally;
  readonly plan: JobPlan;
  readonly pods: readonly Pod[];
}): Pod[] {
  const { job, tally, plan } = o;
  const counted = new Set([...tally.uncounted.succeeded, ...tally.uncounted.failed]);
  const ended = o.pods.filter(
    (pod) => isTracked(pod) && (counted.has(pod.metadata.uid ?? '') || tally.newlyEnded.includes(pod)),
  );
  if (job.spec.backoffLimitPerIndex === undefined || plan.outcome !== undefined) return ended;
  const isOver = new Set([...tally.completedIndexes, ...tally.failedIndexes]);
  return ended.filter((pod) => {
    const index = indexOf(pod);
    return (
      index === undefined ||
      isOver.has(index) ||
      o.pods.some((other) => indexOf(other) === index && earlierFailures(other) > earlierFailures(pod))
    );
  });
}

async function createPods(
  context: Context,
  o: { readonly job: Job; readonly plan: JobPlan; readonly pods: readonly Pod[] },
): Promise<void> {
  const pods = o.plan.toCreate.map((index) => {
    const before = o.pods.filter((pod) => index !== undefined && indexOf(pod) === index);
    const failures = Math.max(0, ...before.map((pod) => earlierFailures(pod) + 1));
    return jobPod(o.job, { index, failures });
  });
  await context.control.createMany(o.job, pods);
}

/** How long to wait before replacing pods because new failures were seen. */
function backoffMs(context: Context, job: Job, tally: JobTally): number {
  const uid = job.metadata.uid ?? '';
  if (tally.failed === 0) return 0;
  if (context.failuresSeen.get(uid) !== tally.failed) {
    context.failuresSeen.set(uid, tally.failed);
    context.delays.waitMs(uid, Date.now());
  }
  return context.delays.remainingMs(uid, Date.now());
}

async function report(context: Context, step: Step): Promise<Job> {
  const { job, tally, plan, nowMs } = step;
  const pods = context.control.pods.ownedBy(job.metadata.uid);
  const { active, terminating } = livingPods(pods);
  // A pod whose finalizer is gone, or that is gone itself, is in the counts from here on.
  const tracked = new Set(pods.filter(isTracked).map((pod) => pod.metadata.uid));
  const uncounted = {
    succeeded: tally.uncounted.succeeded.filter((uid) => tracked.has(uid)),
    failed: tally.uncounted.failed.filter((uid) => tracked.has(uid)),
  };
  const counts = {
    active: active.length,
    ready: active.filter(isReady).length,
    terminating: terminating.length,
    uncounted,
  };
  const status = jobStatus({ job, tally, outcome: plan.outcome, counts, nowMs });
  return writeStatus(context.deps.client, { resource: jobs, cache: context.jobs }, job, status);
}

/** Events for what has just become true of the Job. */
function announce(context: Context, before: Job, after: Job): void {
  const became = (type: string, status: string): ReturnType<typeof conditionOf> => {
    const condition = conditionOf(after.status?.conditions, type);
    const wasSo = conditionOf(before.status?.conditions, type)?.status === status;
    return condition?.status === status && !wasSo ? condition : undefined;
  };
  const note = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    context.deps.events.record({ about: after, type, reason, message });
  if (became('Suspended', 'True') !== undefined) note('Normal', 'Suspended', 'Job suspended');
  if (became('Suspended', 'False') !== undefined) note('Normal', 'Resumed', 'Job resumed');
  if (became('Complete', 'True') !== undefined) note('Normal', 'Completed', 'Job completed');
  const failed = became('Failed', 'True');
  if (failed !== undefined) note('Warning', failed.reason ?? '', failed.message ?? '');
}

/** Deletes an ended job when its time to live has passed. */
async function expire(context: Context, job: Job): Promise<void> {
  const ttl = job.spec.ttlSecondsAfterFinished;
  if (ttl === undefined) return;
  const endedMs = Date.parse(finalCondition(job)?.lastTransitionTime ?? '');
  if (Number.isNaN(endedMs)) return;
  const left = endedMs + ttl * 1000 - Date.now();
  if (left > 0) {
    context.queue.addAfter(keyOfObject(job), left);
    return;
  }
  const { name, namespace, uid } = job.metadata;
  await context.deps.client.delete(
    { resource: jobs, name, namespace },
    { propagation: 'Foreground', ...(uid === undefined ? {} : { preconditions: { uid } }) },
  );
}
