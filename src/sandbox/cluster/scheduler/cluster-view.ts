import type { Node, Pod } from '#base/kube/types.js';
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from '../controllers/storage/storage-objects.js';

/** A node with the pods assigned to it, or about to be. */
export interface ScheduledNode {
  readonly node: Node;
  readonly pods: readonly Pod[];
}

/** What one decision of the scheduler is made from. */
export interface ClusterView {
  readonly nodes: readonly ScheduledNode[];
  /** Labels of a namespace; undefined when there is no such namespace. */
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>> | undefined;
  readonly volumes: VolumeView;
}

/** Claims, volumes and classes by name. */
export interface VolumeView {
  readonly claim: (namespace: string, name: string) => PersistentVolumeClaim | undefined;
  readonly volume: (name: string) => PersistentVolume | undefined;
  readonly storageClass: (name: string) => StorageClass | undefined;
  readonly all: () => readonly PersistentVolume[];
}

/** Why a node does not take a pod. */
export interface NodeRefusal {
  /** In the words kubectl users know from FailedScheduling events. */
  readonly reason: string;
  /** Whether the node could take the pod if others left it. */
  readonly isResolvable: boolean;
  /** It is the pod that is not ready to be placed, on whichever node: said once, without counting nodes. */
  readonly isAboutPod?: boolean;
}

/** Prepared once for a pod, then asked for every node. */
export type Filter = (pod: Pod, view: ClusterView) => (state: ScheduledNode) => NodeRefusal | undefined;

/** Nodes that share a value of a topology label, by value; nodes without the label are in none. */
export function topologyDomains(view: ClusterView, topologyKey: string): Map<string, ScheduledNode[]> {
  const domains = new Map<string, ScheduledNode[]>();
  for (const state of view.nodes) {
    const value = state.node.metadata.labels?.[topologyKey];
    if (value === undefined) continue;
    const domain = domains.get(value);
    if (domain === undefined) domains.set(value, [state]);
    else domain.push(state);
  }
  return domains;
}

/** The view with one node's pods replaced. */
export function withPodsOf(view: ClusterView, name: string, pods: readonly Pod[]): ClusterView {
  return {
    ...view,
    nodes: view.nodes.map((state) =>
      state.node.metadata.name === name ? { node: state.node, pods } : state,
    ),
  };
}
