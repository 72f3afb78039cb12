import type { KubeClient } from '#base/kube/client.js';
import { nodes as nodeResource } from '#base/kube/resource.js';
import type { Node } from '#base/kube/types.js';

/** A status has to be told while the API server hangs. */
const timeoutMs = 2_000;

/** Names of the nodes that the API server calls Ready; undefined when it does not answer. */
export async function readyNodes(client: KubeClient): Promise<ReadonlySet<string> | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  const nodes = await client.list<Node>(nodeResource, { signal }).catch(() => undefined);
  const isReady = (node: Node): boolean =>
    (node.status?.conditions ?? []).some((c) => c.type === 'Ready' && c.status === 'True');
  return nodes === undefined ? undefined : new Set(nodes.filter(isReady).map((node) => node.metadata.name));
}
