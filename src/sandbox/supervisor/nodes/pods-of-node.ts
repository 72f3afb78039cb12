import type { KubeClient } from '#base/kube/client.js';
import { pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';

/**
 * Pods, as `namespace/name`, that would be lost with a node: those that run on it, except for a DaemonSet's,
 * which belong to the node.
 */
export async function podsThatHold(client: KubeClient, nodeName: string): Promise<string[]> {
  const pods = await client.list<Pod>(podResource, { fieldSelector: `spec.nodeName=${nodeName}` });
  return pods
    .filter((pod) => pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed')
    .filter(
      (pod) => !(pod.metadata.ownerReferences ?? []).some((o) => o.controller && o.kind === 'DaemonSet'),
    )
    .map((pod) => `${pod.metadata.namespace}/${pod.metadata.name}`)
    .toSorted();
}

/** Uids of the pods bound to a node; undefined when the API server cannot be asked. */
export async function boundPodUids(client: KubeClient, nodeName: string): Promise<Set<string> | undefined> {
  const pods = await client
    .list<Pod>(podResource, { fieldSelector: `spec.nodeName=${nodeName}` })
    .catch(() => undefined);
  return pods && new Set(pods.map((pod) => pod.metadata.uid ?? ''));
}
