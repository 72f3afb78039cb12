import { jobs } from '../../../../kube/resource.js';
import type { Condition } from '../../../../kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import type { Job } from '../../objects.js';
import { conditionOf, timestamp, withCondition, withoutCondition } from '../conditions.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from '../controller.js';
import { completionIndexKey, indexRanges, type JobPlan, jobPlan } from './job-plan.js';
import { type NewPod, PodControl, podFromTemplate } from '../pod-control.js';
import { isReady } from '../pod-state.js';
import { RetryDelays } from '../retry-delays.js';
import { writeStatus } from '../status-writer.js';

interface Context {
  readonly deps: ControllerDeps;
  readonly queue: ControllerQueue;
  readonly jobs: ObjectCache<Job>;
  readonly control: PodControl;
  /** Between a failed pod and its replacement. */
  readonly delays: RetryDelays;
  readonly failuresSeen: Map<string, number>;
}

/** Runs pods of a Job until enough have succeeded or too many have failed. */
export function jobController(deps: ControllerDeps, queue: ControllerQueue): Controller {
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
      if (job === undefined || job.metadata.deletionTimestamp !== undefined) return;
      if (isEnded(job)) await expire(context, job);
      else await advance(context, job);
    },
  };
}

/** True when the job has its final condition. */
export function isEnded(job: Job): boolean {
  return ['Complete', 'Failed'].some((type) => conditionOf(job.status?.conditions, type)?.status === 'True');
}

async function advance(context: Context, job: Job): Promise<void> {
  const nowMs = Date.now();
  const key = keyOfObject(job);
  const pods = await context.control.claim(
    job,
    job.spec.selector ?? { matchLabels: { 'batch.kubernetes.io/controller-uid': job.metadata.uid ?? '' } },
  );
  const plan = jobPlan(job, pods, nowMs);
  const wait = plan.toCreate.length > 0 ? backoffMs(context, job, plan) : 0;
  await context.control.deleteMany(job, plan.toDelete);
  if (wait > 0) context.queue.addAfter(key, wait);
  else
    await context.control.createMany(
      job,
      plan.toCreate.map((index) => podFor(job, index)),
    );
  const ready = context.control.pods.ownedBy(job.metadata.uid).filter(isReady).length;
  const created = wait > 0 ? 0 : plan.toCreate.length;
  const written = await writeStatus(
    context.deps.client,
    { resource: jobs, cache: context.jobs },
    job,
    statusOf({ job, plan, active: plan.active.length - plan.toDelete.length + created, ready, nowMs }),
  );
  if (plan.outcome !== undefined) {
    const isGood = plan.outcome.type === 'Complete';
    context.deps.events.record({
      about: job,
      type: isGood ? 'Normal' : 'Warning',
      reason: isGood ? 'Completed' : plan.outcome.reason,
      message: isGood ? 'Job completed' : plan.outcome.message,
    });
    await expire(context, written);
    return;
  }
  const { activeDeadlineSeconds: deadline } = job.spec;
  const started = Date.parse(written.status?.startTime ?? '');
  if (deadline !== undefined && !Number.isNaN(started)) {
    context.queue.addAfter(key, Math.max(0, started + deadline * 1000 - nowMs) + 50);
  }
}

/** How long to wait before replacing pods because new failures were seen. */
function backoffMs(context: Context, job: Job, plan: JobPlan): number {
  const uid = job.metadata.uid ?? '';
  if (plan.failed === 0) return 0;
  if (context.failuresSeen.get(uid) !== plan.failed) {
    context.failuresSeen.set(uid, plan.failed);
    context.delays.waitMs(uid, Date.now());
  }
  return context.delays.remainingMs(uid, Date.now());
}

function podFor(job: Job, index: number | undefined): NewPod {
  const pod = podFromTemplate(job.spec.template);
  const suffix = index === undefined ? '' : `${index}-`;
  const identity = {
    'batch.kubernetes.io/controller-uid': job.metadata.uid ?? '',
    'batch.kubernetes.io/job-name': job.metadata.name,
    'controller-uid': job.metadata.uid ?? '',
    'job-name': job.metadata.name,
  };
  if (index === undefined) {
    return {
      ...pod,
      metadata: {
        ...pod.metadata,
        generateName: `${job.metadata.name}-`,
        labels: { ...pod.metadata.labels, ...identity },
      },
    };
  }
  const env = { name: 'JOB_COMPLETION_INDEX', value: String(index) };
  return {
    metadata: {
      ...pod.metadata,
      generateName: `${job.metadata.name}-${suffix}`,
      labels: { ...pod.metadata.labels, ...identity, [completionIndexKey]: String(index) },
      annotations: { ...pod.metadata.annotations, [completionIndexKey]: String(index) },
    },
    spec: {
      ...pod.spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: pod.spec.containers.map((each) => ({ ...each, env: [...(each.env ?? []), env] })),
    },
  };
}

function statusOf(o: {
  readonly job: Job;
  readonly plan: JobPlan;
  readonly active: number;
  readonly ready: number;
  readonly nowMs: number;
}): NonNullable<Job['status']> {
  const { job, plan, nowMs } = o;
  const now = timestamp(nowMs);
  const old = job.status ?? {};
  let conditions: Condition[] = old.conditions ?? [];
  if (plan.outcome !== undefined) {
    const criterion = plan.outcome.type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
    for (const type of [criterion, plan.outcome.type]) {
      conditions = withCondition(
        conditions,
        { type, status: 'True', reason: plan.outcome.reason, message: plan.outcome.message },
        { nowMs },
      );
    }
  } else if (job.spec.suspend === true) {
    conditions = withCondition(
      conditions,
      { type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' },
      { nowMs },
    );
  } else conditions = withoutCondition(conditions, 'Suspended');
  const isSuspended = job.spec.suspend === true && plan.outcome === undefined;
  const startTime = isSuspended ? undefined : (old.startTime ?? now);
  return {
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(startTime === undefined ? {} : { startTime }),
    ...(plan.outcome?.type === 'Complete' ? { completionTime: old.completionTime ?? now } : {}),
    active: plan.outcome === undefined ? Math.max(0, o.active) : 0,
    ready: plan.outcome === undefined ? o.ready : 0,
    terminating: 0,
    succeeded: plan.succeeded,
    failed: plan.failed,
    ...(job.spec.completionMode === 'Indexed'
      ? { completedIndexes: indexRanges(plan.completedIndexes) }
      : {}),
  };
}

/** Deletes an ended job when its time to live has passed. */
async function expire(context: Context, job: Job): Promise<void> {
  const ttl = job.spec.ttlSecondsAfterFinished;
  if (ttl === undefined) return;
  const final =
    conditionOf(job.status?.conditions, 'Complete') ?? conditionOf(job.status?.conditions, 'Failed');
  const endedMs = Date.parse(final?.lastTransitionTime ?? '');
  if (Number.isNaN(endedMs)) return;
  const left = endedMs + ttl * 1000 - Date.now();
  if (left > 0) {
    context.queue.addAfter(keyOfObject(job), left);
    return;
  }
  const { name, namespace, uid } = job.metadata;
  await context.deps.client.delete(
    { resource: jobs, name, namespace },
    uid === undefined ? {} : { preconditions: { uid } },
  );
}
