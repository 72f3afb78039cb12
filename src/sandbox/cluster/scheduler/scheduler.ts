import { persistentVolumeClaims, pods as podResource } from '#base/kube/resource.js';
import type { Node, Pod } from '#base/kube/types.js';
import { keyOfObject } from '../cache/object-cache.js';
import { withCondition } from '../controllers/conditions.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controllers/controller.js';
import { isFinished } from '../controllers/pod-state.js';
import { claimsOf } from '../controllers/storage/pod-claims.js';
import { type PersistentVolumeClaim, volumeKeys } from '../controllers/storage/storage-objects.js';
import type { SchedulablePodSpec } from '../objects.js';
import { bind } from './binding.js';
import { evictVictims } from './eviction.js';
import { claimsWithoutVolume } from './filters/volumes.js';
import { describeFailure, placePod } from './placement.js';
import { planPreemption, priorityOf } from './preemption.js';
import { type SchedulerCaches, schedulerCaches, viewFor } from './scheduler-caches.js';

/** Name in `spec.schedulerName` and in events. */
export const schedulerName = 'default-scheduler';
/** A pod no node takes is tried again this often even when nothing seems to have changed. */
const retryMs = 5_000;

interface Context extends SchedulerCaches {
  readonly deps: ClusterControllerDeps;
}

/** Assigns pods to nodes, one at a time, so that each decision sees the one before. */
export function schedulerController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = { deps, ...schedulerCaches(deps.caches) };
  const { pods, nodes } = context;
  const waiting = new Set<string>();
  const retryWaiting = (isAffected: (pod: Pod) => boolean = () => true): void => {
    const found = [...waiting].flatMap((key) => {
      const { namespace, name } = splitKey(key);
      return pods.get(namespace, name) ?? [];
    });
    for (const pod of found.filter(isAffected).toSorted((a, b) => priorityOf(b) - priorityOf(a)))
      queue.add(keyOfObject(pod));
  };
  pods.onChange(({ object, old, isGone }) => {
    const key = keyOfObject(object);
    if (isGone) waiting.delete(key);
    if (!isGone && isUnassigned(object) && needsDecision(object, old)) queue.add(key);
    // A pod that ended leaves room; one that arrived or changed its labels may be the company another waits for.
    if (isGone || isFinished(object)) retryWaiting();
    else if (old?.spec.nodeName !== object.spec.nodeName || hasNewLabels(object, old)) retryWaiting(minds);
  });
  nodes.onChange(({ object, old, isGone }) => {
    if (isGone || old === undefined || roomOf(old) !== roomOf(object)) retryWaiting();
  });
  context.claims.onChange(({ object }) => {
    const { name, namespace } = object.metadata;
    retryWaiting(
      (pod) => pod.metadata.namespace === namespace && claimsOf(pod).some((each) => each.name === name),
    );
  });
  context.volumes.onChange(() => retryWaiting((pod) => claimsOf(pod).length > 0));
  return {
    name: 'scheduler',
    keys: () => pods.list().filter(isUnassigned).map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const pod = pods.get(namespace, name);
      if (pod === undefined || !isUnassigned(pod)) {
        waiting.delete(key);
        return;
      }
      // Waiting already while the attempt is made: what changes meanwhile must lead to another one.
      waiting.add(key);
      if (await schedule(context, pod)) waiting.delete(key);
      else queue.addAfter(key, retryMs);
    },
  };
}

/** One attempt; false when the pod has to wait. */
async function schedule(context: Context, pod: Pod): Promise<boolean> {
  const { deps, pods } = context;
  const view = viewFor(context, pod);
  const placement = placePod(pod, view);
  if ('node' in placement) {
    const unbound = claimsWithoutVolume(pod, view.volumes);
    if (unbound.length > 0) {
      await selectNode(context, unbound, placement.node);
      return false;
    }
    await bind(deps, pods, { pod, node: placement.node });
    deps.events.record({
      about: pod,
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${keyOfObject(pod)} to ${placement.node}`,
    });
    return true;
  }
  const { refusals } = placement;
  const outcome = isMakingRoom(context, pod)
    ? { failure: 'not eligible due to a terminating pod on the nominated node.' }
    : planPreemption(pod, { view, refusals, budgets: context.budgets.list() });
  const failure = 'failure' in outcome && refusals.size > 0 ? outcome.failure : undefined;
  const message = describeFailure(refusals, failure);
  const nominated = 'node' in outcome ? outcome.node : pod.status?.nominatedNodeName;
  await markUnschedulable(context, pod, { message, nominated });
  deps.events.record({ about: pod, type: 'Warning', reason: 'FailedScheduling', message });
  if ('node' in outcome) await evictVictims(deps, pods, { by: pod, ...outcome });
  return false;
}

/** Tells whoever binds or provisions the volumes where they are needed; the pod follows when they are bound. */
async function selectNode(
  { deps, claims }: Context,
  unbound: readonly PersistentVolumeClaim[],
  node: string,
): Promise<void> {
  for (const claim of unbound) {
    if (claim.metadata.annotations?.[volumeKeys.selectedNode] === node) continue;
    const { name, namespace, resourceVersion } = claim.metadata;
    const patched = await deps.client.patch<PersistentVolumeClaim>(
      { resource: persistentVolumeClaims, name, namespace },
      { metadata: { resourceVersion, annotations: { [volumeKeys.selectedNode]: node } } },
    );
    claims.remember(patched);
  }
}

/** Room was made for the pod already; those who leave have not gone yet. */
function isMakingRoom({ pods }: Context, pod: Pod): boolean {
  const nominated = pod.status?.nominatedNodeName ?? '';
  return (
    nominated !== '' &&
    pods
      .list()
      .some(
        (each) =>
          each.spec.nodeName === nominated &&
          each.metadata.deletionTimestamp !== undefined &&
          priorityOf(each) < priorityOf(pod),
      )
  );
}

/** True for pods this scheduler has to place. */
export function isUnassigned(pod: Pod): boolean {
  const spec: SchedulablePodSpec = pod.spec;
  return (
    (spec.nodeName ?? '') === '' &&
    (spec.schedulerName ?? schedulerName) === schedulerName &&
    pod.metadata.deletionTimestamp === undefined &&
    !isFinished(pod) &&
    (spec.schedulingGates ?? []).length === 0
  );
}

/** A change of the pod's status is no reason to think again. */
function needsDecision(pod: Pod, old: Pod | undefined): boolean {
  return (
    old === undefined ||
    !isUnassigned(old) ||
    JSON.stringify([pod.spec, pod.metadata.labels]) !== JSON.stringify([old.spec, old.metadata.labels])
  );
}

/** Whether it matters to the pod where others are. */
function minds({ spec }: Pod): boolean {
  return (
    spec.affinity?.podAffinity !== undefined ||
    spec.affinity?.podAntiAffinity !== undefined ||
    (spec.topologySpreadConstraints ?? []).length > 0
  );
}

function hasNewLabels(pod: Pod, old: Pod | undefined): boolean {
  return old !== undefined && JSON.stringify(pod.metadata.labels) !== JSON.stringify(old.metadata.labels);
}

/** What of a node decides whether a pod fits. */
function roomOf(node: Node): string {
  return JSON.stringify([node.metadata.labels, node.spec, node.status?.allocatable]);
}

async function markUnschedulable(
  { deps, pods }: Context,
  pod: Pod,
  o: { readonly message: string; readonly nominated: string | undefined },
): Promise<void> {
  const conditions = withCondition(
    pod.status?.conditions,
    { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: o.message },
    { nowMs: Date.now() },
  );
  const isSame =
    JSON.stringify(conditions) === JSON.stringify(pod.status?.conditions ?? []) &&
    o.nominated === pod.status?.nominatedNodeName;
  if (isSame) return;
  const { name, namespace, resourceVersion } = pod.metadata;
  const patched = await deps.client.patch<Pod>(
    { resource: podResource, name, namespace, subresource: 'status' },
    {
      metadata: { resourceVersion },
      status: { conditions, ...(o.nominated === undefined ? {} : { nominatedNodeName: o.nominated }) },
    },
  );
  pods.remember(patched);
}
