import { statefulSets } from '#base/kube/resource.js';
import type { Pod, PodTemplateSpec } from '#base/kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import type { ControllerRevision, StatefulSet } from '../../objects.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { PodControl } from '../pod-control.js';
import { isAvailable, isReady, nextAvailabilityMs } from '../pod-state.js';
import { reportAfter } from '../report-after.js';
import { writeStatus } from '../status-writer.js';
import { RevisionHistory, revisionHashLabel, templateOf } from './controller-revisions.js';
import { StatefulClaims } from './stateful-claims.js';
import { podFor } from './stateful-pod.js';
import { firstToUpdate, ordinalOf, statefulPlan, updates } from './stateful-rollout.js';

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly sets: ObjectCache<StatefulSet>;
  readonly claims: StatefulClaims;
  readonly history: RevisionHistory;
  readonly control: PodControl;
}

/** Keeps numbered pods with stable names and volume claims, in order. */
export function statefulSetController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    sets: deps.caches.of<StatefulSet>(statefulSets),
    claims: new StatefulClaims(deps),
    history: new RevisionHistory(deps),
    control: new PodControl(deps),
  };
  context.sets.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.control.pods.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'StatefulSet') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  return {
    name: 'statefulset',
    keys: () => context.sets.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const set = context.sets.get(namespace, name);
      if (set === undefined || set.metadata.deletionTimestamp !== undefined) return;
      const update = await context.history.current(set, set.spec.selector.matchLabels ?? {});
      const { pods, status } = await reportAfter(
        () => manage(context, set, update),
        () => report(context, set, update.metadata.name),
      );
      const inUse = pods.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? '');
      await context.history.prune(
        set,
        new Set([...inUse, status.currentRevision ?? '', update.metadata.name]),
      );
      const wait = nextAvailabilityMs(pods, set.spec.minReadySeconds ?? 0, Date.now());
      if (wait !== undefined) queue.addAfter(key, wait);
    },
  };
}

async function report(
  context: Context,
  set: StatefulSet,
  update: string,
): Promise<{ readonly pods: readonly Pod[]; readonly status: NonNullable<StatefulSet['status']> }> {
  const pods = context.control.pods
    .ownedBy(set.metadata.uid)
    .filter((pod) => ordinalOf(set, pod) !== undefined);
  const status = statusOf({ set, pods, update, nowMs: Date.now() });
  await writeStatus(context.deps.client, { resource: statefulSets, cache: context.sets }, set, status);
  return { pods, status };
}

async function manage(context: Context, set: StatefulSet, update: ControllerRevision): Promise<void> {
  const pods = await context.control.claim(set, set.spec.selector);
  const isUpdated = (pod: Pod): boolean => pod.metadata.labels?.[revisionHashLabel] === update.metadata.name;
  const plan = statefulPlan({ set, pods, isUpdated, nowMs: Date.now() });
  for (const ordinal of plan.toCreate) {
    await context.claims.ensure(set, ordinal);
    await context.control.create(
      set,
      podFor({ set, ordinal, ...versionFor(context, { set, update, ordinal }) }),
    );
  }
  const { start, end } = range(set);
  for (let ordinal = start; ordinal < end; ordinal++)
    await context.claims.retain(set, ordinal, { leaving: undefined });
  for (const pod of plan.toDelete) {
    const ordinal = ordinalOf(set, pod);
    const isSurplus = ordinal !== undefined && (ordinal < start || ordinal >= end);
    if (isSurplus) await context.claims.retain(set, ordinal, { leaving: pod });
  }
  await context.control.deleteMany(set, plan.toDelete);
}

function range(set: StatefulSet): { readonly start: number; readonly end: number } {
  const start = set.spec.ordinals?.start ?? 0;
  return { start, end: start + (set.spec.replicas ?? 1) };
}

/** Below the partition of a rolling update a pod comes back as it was. */
function versionFor(
  context: Context,
  o: { readonly set: StatefulSet; readonly update: ControllerRevision; readonly ordinal: number },
): { readonly template: PodTemplateSpec; readonly revision: string } {
  const { set, update, ordinal } = o;
  const revision = update.metadata.name;
  if (updates(set) && ordinal < firstToUpdate(set)) {
    const before = context.history.of(set).find((each) => each.metadata.name === set.status?.currentRevision);
    const template = before === undefined ? undefined : templateOf(before);
    if (before !== undefined && template !== undefined) return { template, revision: before.metadata.name };
  }
  return { template: set.spec.template, revision };
}

function statusOf(o: {
  readonly set: StatefulSet;
  readonly pods: readonly Pod[];
  readonly update: string;
  readonly nowMs: number;
}): NonNullable<StatefulSet['status']> {
  const { set, update } = o;
  const minReady = set.spec.minReadySeconds ?? 0;
  const living = o.pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const updated = living.filter((pod) => pod.metadata.labels?.[revisionHashLabel] === update);
  const replicas = set.spec.replicas ?? 1;
  const isDone = updated.length === living.length && living.length === replicas && updated.every(isReady);
  const before = set.status?.currentRevision;
  // The revision that is being left stays "current" until every pod has the new one.
  const current = before === undefined || isDone ? update : before;
  return {
    ...(set.metadata.generation === undefined ? {} : { observedGeneration: set.metadata.generation }),
    replicas: o.pods.length,
    readyReplicas: living.filter(isReady).length,
    availableReplicas: living.filter((pod) => isAvailable(pod, minReady, o.nowMs)).length,
    currentReplicas: living.filter((pod) => pod.metadata.labels?.[revisionHashLabel] === current).length,
    updatedReplicas: updated.length,
    currentRevision: current,
    updateRevision: update,
    collisionCount: set.status?.collisionCount ?? 0,
  };
}
