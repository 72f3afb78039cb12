import type { Condition, Deployment, ReplicaSet } from '#base/kube/types.js';
import { conditionOf, withCondition, withoutCondition } from '../conditions.js';
import { timestamp } from '../../../base/timestamp.js';
import { SetCreateError, setCreateError } from './deployment-scaling.js';
import { type RolloutBounds, type RolloutSets } from './deployment-rollout.js';

type Status = NonNullable<Deployment['status']>;
type ReplicaSetStatus = NonNullable<ReplicaSet['status']> & { conditions?: Condition[] };

const progressDeadlineDefaultSeconds = 600;
/** The API's way to say "no deadline". */
const progressDeadlineNone = 2_147_483_647;

const complete = 'NewReplicaSetAvailable';
const timedOut = 'ProgressDeadlineExceeded';

/** Counts and conditions from the replica sets' own status. */
export function deploymentStatus(o: {
  readonly deployment: Deployment;
  readonly sets: RolloutSets;
  readonly bounds: RolloutBounds;
  /** The template just changed: an earlier rollout's "complete" does not stand for this one. */
  readonly isNewRevision: boolean;
  /** Why the last step failed. */
  readonly failure?: unknown;
  readonly nowMs: number;
}): Status {
  const { deployment, sets, bounds, nowMs } = o;
  const all = sets.current === undefined ? sets.old : [sets.current, ...sets.old];
  const total = (field: 'replicas' | 'readyReplicas' | 'availableReplicas'): number =>
    all.reduce((n, set) => n + (set.status?.[field] ?? 0), 0);
  const availableReplicas = total('availableReplicas');
  const counts = {
    ...(deployment.metadata.generation === undefined
      ? {}
      : { observedGeneration: deployment.metadata.generation }),
    replicas: total('replicas'),
    updatedReplicas: sets.current?.status?.replicas ?? 0,
    readyReplicas: total('readyReplicas'),
    availableReplicas,
    unavailableReplicas: Math.max(0, bounds.desired - availableReplicas),
  };
  const isAvailable = availableReplicas >= bounds.desired - bounds.maxUnavailable;
  let conditions = withCondition(
    deployment.status?.conditions,
    isAvailable
      ? {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'Deployment has minimum availability.',
        }
      : {
          type: 'Available',
          status: 'False',
          reason: 'MinimumReplicasUnavailable',
          message: 'Deployment does not have minimum availability.',
        },
    { nowMs, tracksUpdates: true },
  );
  conditions =
    o.failure instanceof SetCreateError
      ? withoutProgress(conditions, o.failure.message, { deployment, nowMs })
      : withProgress({ ...o, desired: bounds.desired, conditions, counts });
  conditions = withReplicaFailure(conditions, all, nowMs);
  return {
    ...counts,
    conditions,
    ...(deployment.status?.collisionCount === undefined
      ? {}
      : { collisionCount: deployment.status.collisionCount }),
  };
}

/** Milliseconds until the progress deadline passes; undefined when nothing is in progress. */
export function deadlineInMs(deployment: Deployment, status: Status, nowMs: number): number | undefined {
  const progressing = conditionOf(status.conditions, 'Progressing');
  const deadline = deadlineSeconds(deployment);
  if (progressing === undefined || deadline === undefined || deployment.spec.paused === true)
    return undefined;
  if (progressing.reason === complete || progressing.reason === timedOut) return undefined;
  const since = Date.parse(progressing.lastUpdateTime ?? progressing.lastTransitionTime ?? '');
  return Number.isNaN(since) ? undefined : Math.max(0, since + deadline * 1000 - nowMs);
}

function withoutProgress(
  conditions: Condition[],
  message: string,
  o: { readonly deployment: Deployment; readonly nowMs: number },
): Condition[] {
  if (deadlineSeconds(o.deployment) === undefined) return withoutCondition(conditions, 'Progressing');
  const condition = { type: 'Progressing', status: 'False', reason: setCreateError, message } as const;
  return withCondition(conditions, condition, { nowMs: o.nowMs, tracksUpdates: true });
}

function withProgress(o: {
  readonly deployment: Deployment;
  readonly sets: RolloutSets;
  readonly desired: number;
  readonly conditions: Condition[];
  readonly counts: Status;
  readonly isNewRevision: boolean;
  readonly nowMs: number;
}): Condition[] {
  const { deployment, conditions, counts, nowMs } = o;
  const current = conditionOf(conditions, 'Progressing');
  if (deadlineSeconds(deployment) === undefined) return withoutCondition(conditions, 'Progressing');
  const set = o.sets.current?.metadata.name;
  const subject = set === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${set}"`;
  if (deployment.spec.paused === true) {
    return withCondition(
      conditions,
      { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' },
      { nowMs, tracksUpdates: true },
    );
  }
  const old = deployment.status ?? {};
  const wasComplete = current?.reason === complete && old.replicas === old.updatedReplicas;
  const isComplete =
    set !== undefined &&
    counts.updatedReplicas === o.desired &&
    counts.replicas === o.desired &&
    counts.availableReplicas === o.desired;
  const settle = (condition: Pick<Condition, 'status' | 'reason' | 'message'>): Condition[] =>
    withCondition(conditions, { type: 'Progressing', ...condition }, { nowMs, tracksUpdates: true });
  if (isComplete) {
    return settle({ status: 'True', reason: complete, message: `${subject} has successfully progressed.` });
  }
  if (o.isNewRevision && set !== undefined) {
    return settle({
      status: 'True',
      reason: 'NewReplicaSetCreated',
      message: `Created new replica set "${set}"`,
    });
  }
  if (wasComplete) return conditions;
  if (hasProgressed(old, counts) || current === undefined || current.status === 'Unknown') {
    // Progress moves the update time even when the words stay: the deadline counts from here.
    return [
      ...withoutCondition(conditions, 'Progressing'),
      {
        type: 'Progressing',
        status: 'True',
        reason: 'ReplicaSetUpdated',
        message: `${subject} is progressing.`,
        lastTransitionTime:
          current?.status === 'True' ? (current.lastTransitionTime ?? timestamp(nowMs)) : timestamp(nowMs),
        lastUpdateTime: timestamp(nowMs),
      },
    ];
  }
  if (current.reason !== timedOut && deadlineInMs(deployment, { conditions }, nowMs) === 0) {
    return settle({ status: 'False', reason: timedOut, message: `${subject} has timed out progressing.` });
  }
  return conditions;
}

function hasProgressed(before: Status, after: Status): boolean {
  const outdated = (status: Status): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    outdated(after) < outdated(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function withReplicaFailure(
  conditions: Condition[],
  sets: readonly ReplicaSet[],
  nowMs: number,
): Condition[] {
  for (const set of sets) {
    const own: ReplicaSetStatus = set.status ?? {};
    const failure = conditionOf(own.conditions, 'ReplicaFailure');
    if (failure === undefined) continue;
    const { type, status, reason, message } = failure;
    const copied = {
      type,
      status,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
    };
    return withCondition(conditions, copied, { nowMs, tracksUpdates: true });
  }
  return withoutCondition(conditions, 'ReplicaFailure');
}

function deadlineSeconds(deployment: Deployment): number | undefined {
  const seconds = deployment.spec.progressDeadlineSeconds ?? progressDeadlineDefaultSeconds;
  return seconds >= progressDeadlineNone ? undefined : seconds;
}
