import { nodes as nodeResource, pods as podResource } from '../../../kube/resource.js';
import type { Node, Pod } from '../../../kube/types.js';
import { keyOfObject, type ObjectCache } from '../cache/object-cache.js';
import { withCondition } from '../controllers/conditions.js';
import {
  type Controller,
  type ControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controllers/controller.js';
import { isFinished } from '../controllers/pod-state.js';
import type { SchedulablePodSpec } from '../objects.js';
import { describeFailure, type NodeState, placePod } from './placement.js';

/** Name in `spec.schedulerName` and in events. */
export const schedulerName = 'default-scheduler';
/** A pod no node takes is tried again this often even when nothing seems to have changed. */
const retryMs = 5_000;

/** Assigns pods to nodes, one at a time, so that each decision sees the one before. */
export function schedulerController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const pods = deps.caches.of<Pod>(podResource);
  const nodes = deps.caches.of<Node>(nodeResource);
  const { events } = deps;
  const waiting = new Set<string>();
  const retryWaiting = (): void => {
    for (const key of waiting) queue.add(key);
  };
  pods.onChange(({ object, isGone }) => {
    const key = keyOfObject(object);
    if (isGone) waiting.delete(key);
    if (!isGone && isUnassigned(object)) queue.add(key);
    // A pod that ended leaves room.
    if (isGone || isFinished(object)) retryWaiting();
  });
  nodes.onChange(({ object, old }) => {
    if (old === undefined || roomOf(old) !== roomOf(object)) retryWaiting();
  });
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
      const states = nodeStates(nodes, pods);
      const placement = placePod(pod, states);
      if ('node' in placement) {
        waiting.delete(key);
        await bind(deps, pods, { pod, node: placement.node });
        events.record({
          about: pod,
          type: 'Normal',
          reason: 'Scheduled',
          message: `Successfully assigned ${key} to ${placement.node}`,
        });
        return;
      }
      waiting.add(key);
      const message = describeFailure(placement.reasons, states.length);
      await markUnschedulable(deps, pods, { pod, message });
      events.record({ about: pod, type: 'Warning', reason: 'FailedScheduling', message });
      queue.addAfter(key, retryMs);
    },
  };
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

/** What of a node decides whether a pod fits. */
function roomOf(node: Node): string {
  return JSON.stringify([node.metadata.labels, node.spec, node.status?.allocatable]);
}

function nodeStates(nodes: ObjectCache<Node>, pods: ObjectCache<Pod>): NodeState[] {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods.list()) {
    const name = pod.spec.nodeName ?? '';
    if (name === '') continue;
    const list = byNode.get(name);
    if (list === undefined) byNode.set(name, [pod]);
    else list.push(pod);
  }
  return nodes
    .list()
    .filter((node) => node.metadata.deletionTimestamp === undefined)
    .map((node) => ({ node, pods: byNode.get(node.metadata.name) ?? [] }));
}

async function bind(
  deps: ControllerDeps,
  pods: ObjectCache<Pod>,
  o: { readonly pod: Pod; readonly node: string },
): Promise<void> {
  const { name, namespace = '', uid } = o.pod.metadata;
  await deps.client.create(
    podResource,
    {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) },
      target: { apiVersion: 'v1', kind: 'Node', name: o.node },
    },
    { namespace, name, subresource: 'binding' },
  );
  // The binding answers with a Status; the next decision must see the pod on its node all the same.
  pods.rememberChange({ ...o.pod, spec: { ...o.pod.spec, nodeName: o.node } });
}

async function markUnschedulable(
  deps: ControllerDeps,
  pods: ObjectCache<Pod>,
  o: { readonly pod: Pod; readonly message: string },
): Promise<void> {
  const conditions = withCondition(
    o.pod.status?.conditions,
    { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: o.message },
    { nowMs: Date.now() },
  );
  if (JSON.stringify(conditions) === JSON.stringify(o.pod.status?.conditions ?? [])) return;
  const { name, namespace, resourceVersion } = o.pod.metadata;
  const patched = await deps.client.patch<Pod>(
    { resource: podResource, name, namespace, subresource: 'status' },
    { metadata: { resourceVersion }, status: { conditions } },
  );
  pods.remember(patched);
}
