import type { KubeClient } from '../../../kube/client.js';
import { nodes as nodeResource } from '../../../kube/resource.js';
import type { Node } from '../../../kube/types.js';

/** Names of the nodes that the API server calls Ready; none while it cannot be asked. */
export async function readyNodes(client: KubeClient | undefined): Promise<ReadonlySet<string>> {
  const nodes = (await client?.list<Node>(nodeResource)) ?? [];
  const isReady = (node: Node): boolean =>
    (node.status?.conditions ?? []).some((c) => c.type === 'Ready' && c.status === 'True');
  return new Set(nodes.filter(isReady).map((node) => node.metadata.name));
}
