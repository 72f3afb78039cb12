import { messageOf } from '#base/errors/mesh-error.js';
import { cronJobs, jobs } from '#base/kube/resource.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import type { CronJob, Job } from '../../objects.js';
import { conditionOf } from '../conditions.js';
import { timestamp } from '../../../base/timestamp.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { type CronSchedule, nextRun, parseCron } from '../../../base/cron-schedule.js';
import { isEnded } from './job.js';
import { ownerReference } from '../pod-control.js';
import { reportAfter } from '../report-after.js';
import { writeStatus } from '../status-writer.js';

/** Missed times looked at after a pause; only the latest is run. */
const missedMax = 100;
const historyDefaults = { successful: 3, failed: 1 } as const;

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly queue: ControllerQueue;
  readonly cronJobs: ObjectCache<CronJob>;
  readonly jobs: ObjectCache<Job>;
}

/** Starts Jobs on a schedule. */
export function cronJobController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    queue,
    cronJobs: deps.caches.of<CronJob>(cronJobs),
    jobs: deps.caches.of<Job>(jobs),
  };
  context.cronJobs.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.jobs.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'CronJob') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  return {
    name: 'cronjob',
    keys: () => context.cronJobs.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const cron = context.cronJobs.get(namespace, name);
      if (cron === undefined || cron.metadata.deletionTimestamp !== undefined) return;
      let ranAt: number | undefined;
      await reportAfter(
        async () => {
          await trimHistory(context, cron);
          ranAt = await runDue(context, cron);
        },
        () => report(context, cron, ranAt),
      );
    },
  };
}

/** Starts what is due; returns the scheduled time of the job it started. */
async function runDue(context: Context, cron: CronJob): Promise<number | undefined> {
  const schedule = parseCron(cron.spec.schedule);
  if (schedule === undefined) {
    note(context, cron, 'Warning', 'UnparseableSchedule', `unparseable schedule: ${cron.spec.schedule}`);
    return undefined;
  }
  if (cron.spec.suspend === true) return undefined;
  const nowMs = Date.now();
  const due = latestDue({ cron, schedule, nowMs });
  const next = nextRun(schedule, nowMs, cron.spec.timeZone);
  if (next !== undefined) context.queue.addAfter(keyOfObject(cron), next - nowMs + 100);
  if (due === undefined) return undefined;
  const deadline = cron.spec.startingDeadlineSeconds;
  if (deadline !== undefined && nowMs > due + deadline * 1000) {
    note(context, cron, 'Warning', 'MissSchedule', `Missed scheduled time to start a job: ${timestamp(due)}`);
    return undefined;
  }
  const active = context.jobs.ownedBy(cron.metadata.uid).filter((job) => !isEnded(job));
  if (active.length > 0 && cron.spec.concurrencyPolicy === 'Forbid') return undefined;
  if (active.length > 0 && cron.spec.concurrencyPolicy === 'Replace') {
    for (const job of active) await removeJob(context, job);
  }
  await startJob(context, cron, due);
  return due;
}

function latestDue(o: {
  readonly cron: CronJob;
  readonly schedule: CronSchedule;
  readonly nowMs: number;
}): number | undefined {
  const { cron } = o;
  const since = Date.parse(cron.status?.lastScheduleTime ?? cron.metadata.creationTimestamp ?? '');
  let latest: number | undefined;
  let at = Number.isNaN(since) ? o.nowMs : since;
  for (let i = 0; i < missedMax; i++) {
    const next = nextRun(o.schedule, at, cron.spec.timeZone);
    if (next === undefined || next > o.nowMs) return latest;
    latest = next;
    at = next;
  }
  // After a long pause, counting every minute would take for ever; the last few are enough.
  const minuteMs = 60_000;
  const recent = nextRun(o.schedule, o.nowMs - missedMax * minuteMs, cron.spec.timeZone);
  return recent !== undefined && recent <= o.nowMs ? recent : latest;
}

async function startJob(context: Context, cron: CronJob, due: number): Promise<void> {
  const namespace = cron.metadata.namespace ?? '';
  const { jobTemplate } = cron.spec;
  // The time in the name keeps one run from being started twice.
  const name = `${cron.metadata.name}-${Math.floor(due / 60_000)}`;
  try {
    const created = await context.deps.client.create<Job>(
      jobs,
      {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: {
          name,
          namespace,
          labels: { ...jobTemplate.metadata?.labels },
          annotations: {
            ...jobTemplate.metadata?.annotations,
            'batch.kubernetes.io/cronjob-scheduled-timestamp': timestamp(due),
          },
          ownerReferences: [ownerReference(cron)],
        },
        spec: jobTemplate.spec,
      },
      { namespace },
    );
    context.jobs.remember(created);
    note(context, cron, 'Normal', 'SuccessfulCreate', `Created job ${name}`);
  } catch (error) {
    if (isAlreadyExists(error)) return;
    note(context, cron, 'Warning', 'FailedCreate', `Error creating job: ${messageOf(error)}`);
    throw error;
  }
}

async function trimHistory(context: Context, cron: CronJob): Promise<void> {
  const ended = context.jobs
    .ownedBy(cron.metadata.uid)
    .filter((job) => isEnded(job) && job.metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => (a.status?.startTime ?? '').localeCompare(b.status?.startTime ?? ''));
  const isGood = (job: Job): boolean => conditionOf(job.status?.conditions, 'Complete')?.status === 'True';
  const good = ended.filter(isGood);
  const bad = ended.filter((job) => !isGood(job));
  const { successfulJobsHistoryLimit: keepGood, failedJobsHistoryLimit: keepBad } = cron.spec;
  const surplus = [
    ...good.slice(0, Math.max(0, good.length - (keepGood ?? historyDefaults.successful))),
    ...bad.slice(0, Math.max(0, bad.length - (keepBad ?? historyDefaults.failed))),
  ];
  for (const job of surplus) await removeJob(context, job);
}

async function removeJob(context: Context, job: Job): Promise<void> {
  const { name, namespace } = job.metadata;
  await context.deps.client.delete({ resource: jobs, name, namespace });
  context.jobs.rememberDeletion(job);
}

async function report(context: Context, cron: CronJob, ranAt: number | undefined): Promise<void> {
  const owned = context.jobs.ownedBy(cron.metadata.uid);
  const active = owned.filter((job) => !isEnded(job) && job.metadata.deletionTimestamp === undefined);
  const finished = owned
    .flatMap((job) => job.status?.completionTime ?? [])
    .toSorted((a, b) => a.localeCompare(b));
  const lastSchedule = ranAt === undefined ? cron.status?.lastScheduleTime : timestamp(ranAt);
  const lastSuccess = finished.at(-1) ?? cron.status?.lastSuccessfulTime;
  await writeStatus(context.deps.client, { resource: cronJobs, cache: context.cronJobs }, cron, {
    ...(active.length === 0
      ? {}
      : {
          active: active.map((job) => ({
            apiVersion: 'batch/v1',
            kind: 'Job',
            name: job.metadata.name,
            ...(job.metadata.namespace === undefined ? {} : { namespace: job.metadata.namespace }),
            ...(job.metadata.uid === undefined ? {} : { uid: job.metadata.uid }),
          })),
        }),
    ...(lastSchedule === undefined ? {} : { lastScheduleTime: lastSchedule }),
    ...(lastSuccess === undefined ? {} : { lastSuccessfulTime: lastSuccess }),
  });
}

function note(
  context: Context,
  cron: CronJob,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): void {
  context.deps.events.record({ about: cron, type, reason, message });
}
