import { isNotFound } from '#base/kube/api-error.js';
import { leases as leaseResource, nodes as nodeResource, pods as podResource } from '#base/kube/resource.js';
import type { Condition, Lease, Node, Pod, Taint } from '#base/kube/types.js';
import { keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import { isSameTaint, nodeTaints } from '../../objects.js';
import { tolerates } from '../tolerations.js';
import { withCondition } from '../conditions.js';
import { timestamp } from '../../../base/timestamp.js';
import { type Controller, type ClusterControllerDeps, type ControllerQueue } from '../controller.js';
import { isFinished } from '../pod-state.js';
import { writeStatus } from '../status-writer.js';

/** A kubelet silent for this long makes its node's state unknown; upstream's default. */
const graceMs = 40_000;
const leaseNamespace = 'kube-node-lease';
/** Taints this controller owns: it adds and removes them, and nobody else's. */
const ownTaints: readonly Pick<Taint, 'key' | 'effect'>[] = [
  { key: nodeTaints.notReady, effect: 'NoSchedule' },
  { key: nodeTaints.notReady, effect: 'NoExecute' },
  { key: nodeTaints.unreachable, effect: 'NoSchedule' },
  { key: nodeTaints.unreachable, effect: 'NoExecute' },
  { key: nodeTaints.unschedulable, effect: 'NoSchedule' },
  { key: nodeTaints.memoryPressure, effect: 'NoSchedule' },
  { key: nodeTaints.diskPressure, effect: 'NoSchedule' },
  { key: nodeTaints.pidPressure, effect: 'NoSchedule' },
];

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly nodes: ObjectCache<Node>;
  readonly leases: ObjectCache<Lease>;
  readonly pods: ObjectCache<Pod>;
}

/** Notices nodes whose kubelet went silent, taints nodes by their conditions, and evicts what does not tolerate it. */
export function nodeLifecycleController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    nodes: deps.caches.of<Node>(nodeResource),
    leases: deps.caches.of<Lease>(leaseResource),
    pods: deps.caches.of<Pod>(podResource),
  };
  /** When each node was last heard of by our own clock; clocks of nodes may differ. */
  const heard = new Map<string, { sign: string; at: number }>();
  context.nodes.onChange(({ object, isGone }) => {
    if (isGone) heard.delete(object.metadata.name);
    queue.add(object.metadata.name);
  });
  context.leases.onChange(({ object }) => {
    if (object.metadata.namespace === leaseNamespace) queue.add(object.metadata.name);
  });
  context.pods.onChange(({ object, old }) => {
    const node = object.spec.nodeName ?? '';
    if (node !== '' && old?.spec.nodeName !== node) queue.add(node);
  });
  return {
    name: 'node-lifecycle',
    keys: () => context.nodes.list().map((node) => node.metadata.name),
    reconcile: async (name) => {
      let node = context.nodes.get(undefined, name);
      if (node === undefined || node.metadata.deletionTimestamp !== undefined) return;
      const silence = silenceMs(context, node, heard);
      // Without a lease nobody has promised to report; then the conditions stand as they are.
      if (silence !== undefined) {
        if (silence >= graceMs) node = await markUnknown(context, node);
        else queue.addAfter(name, graceMs - silence);
      }
      node = await syncTaints(context, node);
      const wait = await evict(context, node);
      if (wait !== undefined) queue.addAfter(name, wait);
    },
  };
}

function silenceMs(
  context: Context,
  node: Node,
  heard: Map<string, { sign: string; at: number }>,
): number | undefined {
  const { name } = node.metadata;
  const lease = context.leases.get(leaseNamespace, name);
  if (lease === undefined) return undefined;
  const ready = node.status?.conditions?.find((c) => c.type === 'Ready');
  const beat = (ready as (Condition & { lastHeartbeatTime?: string }) | undefined)?.lastHeartbeatTime ?? '';
  const sign = `${lease.spec?.renewTime ?? ''} ${ready?.status === 'Unknown' ? '' : beat}`;
  const nowMs = Date.now();
  const known = heard.get(name);
  if (known === undefined || known.sign !== sign) heard.set(name, { sign, at: nowMs });
  return nowMs - (heard.get(name)?.at ?? nowMs);
}

async function markUnknown(context: Context, node: Node): Promise<Node> {
  const nowMs = Date.now();
  let conditions = node.status?.conditions ?? [];
  const types = new Set(['Ready', ...conditions.map((c) => c.type)]);
  for (const type of types) {
    if (!['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].includes(type)) continue;
    conditions = withCondition(
      conditions,
      {
        type,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
      },
      { nowMs },
    );
  }
  const wasReady = node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
  const updated = await writeStatus(
    context.deps.client,
    { resource: nodeResource, cache: context.nodes },
    node,
    {
      ...node.status,
      conditions,
    },
  );
  if (wasReady) {
    context.deps.events.record({
      about: node,
      type: 'Normal',
      reason: 'NodeNotReady',
      message: `Node ${node.metadata.name} status is now: NodeNotReady`,
    });
  }
  await markPodsNotReady(context, node.metadata.name);
  return updated;
}

/** Services must not send traffic to pods nobody vouches for. */
async function markPodsNotReady(context: Context, node: string): Promise<void> {
  for (const pod of context.pods.list()) {
    if (pod.spec.nodeName !== node || isFinished(pod)) continue;
    const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
    if (ready?.status !== 'True') continue;
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'Ready', status: 'False', reason: 'NodeNotReady', message: 'the kubelet does not report' },
      { nowMs: Date.now() },
    );
    await writeStatus(context.deps.client, { resource: podResource, cache: context.pods }, pod, {
      ...pod.status,
      conditions,
    });
  }
}

/** The taints a node's conditions and `spec.unschedulable` call for. */
export function wantedTaints(node: Node): Pick<Taint, 'key' | 'effect'>[] {
  const statusOf = (type: string): string | undefined =>
    node.status?.conditions?.find((c) => c.type === type)?.status;
  const ready = statusOf('Ready');
  const wanted: Pick<Taint, 'key' | 'effect'>[] = [];
  const both = (key: string): void => {
    wanted.push({ key, effect: 'NoSchedule' }, { key, effect: 'NoExecute' });
  };
  if (ready === 'Unknown') both(nodeTaints.unreachable);
  // A node that has not said a word yet is not ready either.
  else if (ready !== 'True') both(nodeTaints.notReady);
  if (node.spec?.unschedulable === true) wanted.push({ key: nodeTaints.unschedulable, effect: 'NoSchedule' });
  if (statusOf('MemoryPressure') === 'True')
    wanted.push({ key: nodeTaints.memoryPressure, effect: 'NoSchedule' });
  if (statusOf('DiskPressure') === 'True')
    wanted.push({ key: nodeTaints.diskPressure, effect: 'NoSchedule' });
  if (statusOf('PIDPressure') === 'True') wanted.push({ key: nodeTaints.pidPressure, effect: 'NoSchedule' });
  return wanted;
}

async function syncTaints(context: Context, node: Node): Promise<Node> {
  const wanted = wantedTaints(node);
  const current = node.spec?.taints ?? [];
  const kept = current.filter(
    (taint) =>
      !ownTaints.some((own) => isSameTaint(own, taint)) || wanted.some((each) => isSameTaint(each, taint)),
  );
  const added = wanted.filter((each) => !kept.some((taint) => isSameTaint(taint, each)));
  if (added.length === 0 && kept.length === current.length) return node;
  const now = timestamp(Date.now());
  const taints: Taint[] = [
    ...kept,
    ...added.map((each) => (each.effect === 'NoExecute' ? { ...each, timeAdded: now } : { ...each })),
  ];
  const { name, resourceVersion } = node.metadata;
  const patched = await context.deps.client.patch<Node>(
    { resource: nodeResource, name },
    { metadata: { resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } },
  );
  context.nodes.remember(patched);
  return patched;
}

/** Deletes pods that do not tolerate the node's NoExecute taints (any longer); returns when to look again. */
async function evict(context: Context, node: Node): Promise<number | undefined> {
  const taints = (node.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute');
  if (taints.length === 0) return undefined;
  let next: number | undefined;
  for (const pod of context.pods.list()) {
    if (pod.spec.nodeName !== node.metadata.name || isFinished(pod)) continue;
    if (pod.metadata.deletionTimestamp !== undefined) continue;
    const wait = evictionInMs(pod, taints, Date.now());
    if (wait === undefined) continue;
    if (wait > 0) {
      next = Math.min(next ?? wait, wait);
      continue;
    }
    await remove(context.deps, pod);
    context.pods.rememberDeletion(pod);
    context.deps.events.record({
      about: pod,
      type: 'Normal',
      reason: 'TaintManagerEviction',
      message: `Marking for deletion Pod ${keyOfObject(pod)}`,
    });
  }
  return next;
}

/** Says on the pod why it has to leave, then asks it to. One that is gone already has left. */
async function remove({ client }: ClusterControllerDeps, pod: Pod): Promise<void> {
  const { name, namespace, uid } = pod.metadata;
  const ref = { resource: podResource, name, namespace };
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'DeletionByTaintManager',
    message: 'Taint manager: deleting due to NoExecute taint',
    lastTransitionTime: timestamp(Date.now()),
  };
  const patch = { metadata: { uid }, status: { conditions: [condition] } };
  try {
    // Merged by type: the kubelet may be writing the others.
    await client.patch({ ...ref, subresource: 'status' }, patch, 'strategic');
    await client.delete(ref, uid === undefined ? {} : { preconditions: { uid } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Milliseconds until the taints drive the pod away; 0 is now, undefined is never. */
export function evictionInMs(pod: Pod, taints: readonly Taint[], nowMs: number): number | undefined {
  let earliest: number | undefined;
  for (const taint of taints) {
    const matching = (pod.spec.tolerations ?? []).filter((each) => tolerates(each, taint));
    if (matching.length === 0) return 0;
    const limits = matching.flatMap((each) => each.tolerationSeconds ?? []);
    // A toleration without a limit holds for ever.
    if (limits.length < matching.length) continue;
    const since = Date.parse(taint.timeAdded ?? '') || nowMs;
    const left = Math.max(0, since + Math.min(...limits) * 1000 - nowMs);
    earliest = Math.min(earliest ?? left, left);
  }
  return earliest;
}
