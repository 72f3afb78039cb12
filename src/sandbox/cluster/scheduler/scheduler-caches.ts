import {
  namespaces as namespaceResource,
  nodes as nodeResource,
  persistentVolumeClaims,
  persistentVolumes,
  pods as podResource,
} from '#base/kube/resource.js';
import type { KubeObject, Node, Pod } from '#base/kube/types.js';
import type { ClusterCaches } from '../cache/cluster-caches.js';
import type { ObjectCache } from '../cache/object-cache.js';
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
  type StorageClass,
  storageClasses,
} from '../controllers/storage/storage-objects.js';
import { podDisruptionBudgets } from '#base/kube/resource.js';
import type { PodDisruptionBudget } from '../objects.js';
import type { ClusterView } from './cluster-view.js';
import { priorityOf } from './preemption.js';

/** Everything the scheduler looks at. */
export interface SchedulerCaches {
  readonly pods: ObjectCache<Pod>;
  readonly nodes: ObjectCache<Node>;
  readonly namespaces: ObjectCache<KubeObject>;
  readonly budgets: ObjectCache<PodDisruptionBudget>;
  readonly claims: ObjectCache<PersistentVolumeClaim>;
  readonly volumes: ObjectCache<PersistentVolume>;
  readonly storageClasses: ObjectCache<StorageClass>;
}

/** The scheduler's caches, out of those the process shares. */
export function schedulerCaches(caches: ClusterCaches): SchedulerCaches {
  return {
    pods: caches.of<Pod>(podResource),
    nodes: caches.of<Node>(nodeResource),
    namespaces: caches.of<KubeObject>(namespaceResource),
    budgets: caches.of<PodDisruptionBudget>(podDisruptionBudgets),
    claims: caches.of<PersistentVolumeClaim>(persistentVolumeClaims),
    volumes: caches.of<PersistentVolume>(persistentVolumes),
    storageClasses: caches.of<StorageClass>(storageClasses),
  };
}

/** The cluster as it is once those for whom room was made, and who are as important as `pod`, have moved in. */
export function viewFor(caches: SchedulerCaches, pod: Pod): ClusterView {
  const { nodes, pods, namespaces } = caches;
  const byNode = new Map<string, Pod[]>();
  for (const each of pods.list()) {
    const isNominated = each.metadata.uid !== pod.metadata.uid && priorityOf(each) >= priorityOf(pod);
    const name = (each.spec.nodeName ?? '') || (isNominated ? (each.status?.nominatedNodeName ?? '') : '');
    if (name === '') continue;
    const list = byNode.get(name);
    if (list === undefined) byNode.set(name, [each]);
    else list.push(each);
  }
  return {
    nodes: nodes
      .list()
      .filter((node) => node.metadata.deletionTimestamp === undefined)
      .map((node) => ({ node, pods: byNode.get(node.metadata.name) ?? [] })),
    namespaceLabels: (name) => {
      const namespace = namespaces.get(undefined, name);
      return namespace === undefined ? undefined : (namespace.metadata.labels ?? {});
    },
    volumes: {
      claim: (namespace, name) => caches.claims.get(namespace, name),
      volume: (name) => caches.volumes.get(undefined, name),
      storageClass: (name) => caches.storageClasses.get(undefined, name),
      all: () => caches.volumes.list(),
    },
  };
}
