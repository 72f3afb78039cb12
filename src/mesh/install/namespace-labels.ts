import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { namespaces } from '#base/kube/resource.js';
import type { Namespace } from '#base/kube/types.js';

/** A namespace that must be there. @throws MESH0313 */
export async function requireNamespace(client: KubeClient, name: string): Promise<Namespace> {
  const found = await client.getOrUndefined<Namespace>({ resource: namespaces, name });
  if (found === undefined) throw new MeshError('MESH0313', `Namespace ${name} does not exist`);
  return found;
}

/** Sets a label of a namespace, or removes it (`undefined`). Resolves to whether that changed anything. */
export async function setNamespaceLabel(
  client: KubeClient,
  namespace: Namespace,
  change: { readonly label: string; readonly value: string | undefined },
): Promise<boolean> {
  if (namespace.metadata.labels?.[change.label] === change.value) return false;
  await client.patch(
    { resource: namespaces, name: namespace.metadata.name },
    { metadata: { labels: { [change.label]: change.value ?? null } } },
  );
  return true;
}
