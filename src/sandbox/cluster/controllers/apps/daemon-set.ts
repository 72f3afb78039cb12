import { daemonSets, nodes as nodeResource } from '#base/kube/resource.js';
import type { DaemonSet, Node, Pod } from '#base/kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { judgeNode, nodeOfDaemon, type NodePods, pinToNode, rollingPlan } from './daemon-rollout.js';
import { type NewPod, PodControl, podFromTemplate } from '../pod-control.js';
import { isAvailable, isFinished, isReady, nextAvailabilityMs } from '../pod-state.js';
import { reportAfter } from '../report-after.js';
import { RetryDelays } from '../retry-delays.js';
import { writeStatus } from '../status-writer.js';
import { RevisionHistory, revisionHashLabel } from './controller-revisions.js';

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly sets: ObjectCache<DaemonSet>;
  readonly nodes: ObjectCache<Node>;
  readonly control: PodControl;
  readonly history: RevisionHistory;
  readonly queue: ControllerQueue;
  /** Keeps a daemon that ends at once from being recreated in a tight loop, per set and node. */
  readonly delays: RetryDelays;
}

/** Runs one pod of each DaemonSet on every eligible node. */
export function daemonSetController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    queue,
    sets: deps.caches.of<DaemonSet>(daemonSets),
    nodes: deps.caches.of<Node>(nodeResource),
    control: new PodControl(deps),
    history: new RevisionHistory(deps),
    delays: new RetryDelays({ minMs: 1_000, maxMs: 900_000 }),
  };
  const all = (): string[] => context.sets.list().map(keyOfObject);
  context.sets.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.nodes.onChange(({ object, old, isGone }) => {
    if (!isGone && old !== undefined && isSameForScheduling(object, old)) return;
    for (const key of all()) queue.add(key);
  });
  context.control.pods.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'DaemonSet') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  return {
    name: 'daemonset',
    keys: all,
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const set = context.sets.get(namespace, name);
      if (set === undefined) return;
      if (set.metadata.deletionTimestamp !== undefined) {
        const hash = context.history.of(set).at(-1)?.metadata.labels?.[revisionHashLabel] ?? '';
        await report(context, set, hash);
        return;
      }
      const revision = await context.history.current(set, set.spec.template.metadata?.labels ?? {});
      const hash = revision.metadata.labels?.[revisionHashLabel] ?? '';
      await reportAfter(
        () => manage(context, set, hash),
        () => report(context, set, hash),
      );
      await context.history.prune(set, revisionsInUse(context, set));
    },
  };
}

/** Names of the revisions that a pod has, and of the current one. */
function revisionsInUse(context: Context, set: DaemonSet): Set<string> {
  const hashes = context.control.pods
    .ownedBy(set.metadata.uid)
    .map((pod) => pod.metadata.labels?.[revisionHashLabel]);
  const revisions = context.history.of(set);
  const used = revisions.filter((each) => hashes.includes(each.metadata.labels?.[revisionHashLabel]));
  return new Set([...used, ...revisions.slice(-1)].map((each) => each.metadata.name));
}

async function manage(context: Context, set: DaemonSet, hash: string): Promise<void> {
  const pods = await context.control.claim(set, set.spec.selector);
  const toDelete: Pod[] = [];
  const toCreate: NewPod[] = [];
  const groups = groupByNode(context, { set, pods, hash });
  const create = (node: string): void => {
    toCreate.push(podFor(set, { node, hash }));
  };
  const eligible: NodePods[] = [];
  for (const group of groups) {
    if (group.isUnwanted) {
      toDelete.push(...[...group.current, ...group.old].filter(isNotTerminating));
      continue;
    }
    const finished = [...group.current, ...group.old].filter(
      (pod) => isFinished(pod) && isNotTerminating(pod),
    );
    toDelete.push(...finished.filter((pod) => isDue(context, { set, pod, node: group.node })));
    const living = {
      node: group.node,
      current: group.current.filter((pod) => !isFinished(pod)),
      old: group.old.filter((pod) => !isFinished(pod)),
    };
    if (finished.length === 0 && living.current.length + living.old.length === 0 && group.shouldRun) {
      create(group.node);
    }
    // A second pod of the same template on a node is one too many.
    toDelete.push(...living.current.toSorted(byAge).slice(1).filter(isNotTerminating));
    if (group.shouldRun) eligible.push({ ...living, current: living.current.filter(isNotTerminating) });
  }
  const plan = rollingPlan(set, eligible, Date.now());
  for (const node of plan.toSurge) create(node);
  await context.control.deleteMany(set, [...new Set([...toDelete, ...plan.toDelete])]);
  await context.control.createMany(set, toCreate);
}

interface NodeGroup extends NodePods {
  readonly shouldRun: boolean;
  /** The pods must go: the node is gone or does not want them. */
  readonly isUnwanted: boolean;
}

function groupByNode(
  context: Context,
  o: { readonly set: DaemonSet; readonly pods: readonly Pod[]; readonly hash: string },
): NodeGroup[] {
  const groups = new Map<string, { current: Pod[]; old: Pod[]; shouldRun: boolean; isUnwanted: boolean }>();
  for (const node of context.nodes.list()) {
    const verdict = judgeNode(o.set, node);
    groups.set(node.metadata.name, {
      current: [],
      old: [],
      shouldRun: verdict.shouldRun,
      isUnwanted: !verdict.shouldStay,
    });
  }
  for (const pod of o.pods) {
    const node = nodeOfDaemon(pod) ?? '';
    const group = groups.get(node) ?? { current: [], old: [], shouldRun: false, isUnwanted: true };
    groups.set(node, group);
    (pod.metadata.labels?.[revisionHashLabel] === o.hash ? group.current : group.old).push(pod);
  }
  return [...groups].map(([node, group]) => ({ node, ...group }));
}

function podFor(set: DaemonSet, o: { readonly node: string; readonly hash: string }): NewPod {
  const pod = podFromTemplate(set.spec.template);
  return {
    metadata: {
      ...pod.metadata,
      generateName: `${set.metadata.name}-`,
      labels: { ...pod.metadata.labels, [revisionHashLabel]: o.hash },
    },
    spec: pinToNode(pod.spec, o.node),
  };
}

/** Whether a finished daemon may be replaced now; otherwise the set is looked at again when it may. */
function isDue(
  context: Context,
  o: { readonly set: DaemonSet; readonly pod: Pod; readonly node: string },
): boolean {
  const wait = context.delays.waitMs(`${o.set.metadata.uid ?? ''}/${o.node}`, Date.now());
  if (wait === 0) {
    context.deps.events.record({
      about: o.set,
      type: 'Warning',
      reason: 'FailedDaemonPod',
      message: `Found failed daemon pod ${o.pod.metadata.namespace ?? ''}/${o.pod.metadata.name} on node ${o.node}, will try to kill it`,
    });
    return true;
  }
  context.queue.addAfter(keyOfObject(o.set), wait);
  return false;
}

async function report(context: Context, set: DaemonSet, hash: string): Promise<void> {
  const nowMs = Date.now();
  const minReady = set.spec.minReadySeconds ?? 0;
  const pods = context.control.pods.ownedBy(set.metadata.uid);
  const groups = groupByNode(context, { set, pods, hash });
  const counts = { desired: 0, current: 0, ready: 0, available: 0, updated: 0, misscheduled: 0 };
  for (const group of groups) {
    // One that ends still counts: a roll-out is over when the pods of before are gone.
    const present = [...group.current, ...group.old].filter(
      (pod) => isNotTerminating(pod) || !isFinished(pod),
    );
    const [oldest] = present.toSorted(byAge);
    if (!group.shouldRun) {
      if (oldest !== undefined) counts.misscheduled++;
      continue;
    }
    counts.desired++;
    if (oldest === undefined) continue;
    counts.current++;
    if (isReady(oldest)) counts.ready++;
    if (isAvailable(oldest, minReady, nowMs)) counts.available++;
    if (group.current.includes(oldest)) counts.updated++;
  }
  await writeStatus(context.deps.client, { resource: daemonSets, cache: context.sets }, set, {
    ...(set.metadata.generation === undefined ? {} : { observedGeneration: set.metadata.generation }),
    desiredNumberScheduled: counts.desired,
    currentNumberScheduled: counts.current,
    numberMisscheduled: counts.misscheduled,
    numberReady: counts.ready,
    numberAvailable: counts.available,
    numberUnavailable: counts.desired - counts.available,
    updatedNumberScheduled: counts.updated,
  });
  const wait = nextAvailabilityMs(pods, minReady, nowMs);
  if (wait !== undefined) context.queue.addAfter(keyOfObject(set), wait);
}

function isNotTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined;
}

/** Oldest first; pods that no node has yet come last. */
function byAge(a: Pod, b: Pod): number {
  const isUnscheduled = (pod: Pod): number => Number((pod.spec.nodeName ?? '') === '');
  return (
    isUnscheduled(a) - isUnscheduled(b) ||
    (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '') ||
    a.metadata.name.localeCompare(b.metadata.name)
  );
}

function isSameForScheduling(a: Node, b: Node): boolean {
  const facts = (node: Node): string =>
    JSON.stringify([node.metadata.labels, node.spec, node.metadata.deletionTimestamp]);
  return facts(a) === facts(b);
}
