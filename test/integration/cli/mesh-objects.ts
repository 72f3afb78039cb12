import type { KubeClient } from '#base/kube/client.js';
import { namespaces, nodes, pods, serviceAccounts } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { eventually } from '../sandbox/apiserver/api-under-test.js';

/** A Namespace that pods can be created in. */
export async function addNamespace(
  client: KubeClient,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  await hasDefaultAccount(client, name);
}

/** Resolves when pods can be created in a namespace. */
export async function hasDefaultAccount(client: KubeClient, namespace: string): Promise<void> {
  const account = { resource: serviceAccounts, namespace, name: 'default' };
  await eventually(async () => (await client.getOrUndefined(account)) !== undefined);
}

/** A Node that is Ready. */
export async function addNode(client: KubeClient, name: string): Promise<void> {
  await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  await client.patch(
    { resource: nodes, name, subresource: 'status' },
    { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
  );
}

/** A pod that counts as running and ready; nothing runs. */
export async function addPod(
  client: KubeClient,
  pod: {
    readonly namespace: string;
    readonly name: string;
    readonly node: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly image?: string;
    readonly isReady?: boolean;
  },
): Promise<Pod> {
  const { namespace, name, node, labels, image = 'meshctl/tool:1', isReady = true } = pod;
  await client.create(
    pods,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels },
      spec: { nodeName: node, containers: [{ name: 'main', image }] },
    },
    { namespace },
  );
  return client.patch<Pod>(
    { resource: pods, namespace, name, subresource: 'status' },
    { status: { phase: 'Running', conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] } },
  );
}
