import type { KubeClient } from '#base/kube/client.js';
import {
  configMaps,
  cronJobs,
  daemonSets,
  deployments,
  jobs,
  namespaces,
  pods,
  type Resource,
  secrets,
  serviceAccounts,
  services,
  statefulSets,
} from '#base/kube/resource.js';
import type { KubeObject, Namespace } from '#base/kube/types.js';
import { isOurs } from '../apply/field-manager.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { listKnown } from './generated-objects.js';

/** Kinds that show that somebody uses the namespace. */
const telling: readonly Resource[] = [
  pods,
  services,
  deployments,
  daemonSets,
  statefulSets,
  jobs,
  cronJobs,
  configMaps,
  secrets,
  serviceAccounts,
];

/** Objects that Kubernetes puts into every namespace. */
function isBuiltIn(resource: Resource, object: KubeObject): boolean {
  const { name } = object.metadata;
  if (resource === configMaps) return name === 'kube-root-ca.crt';
  if (resource === serviceAccounts) return name === 'default';
  return resource === secrets && name.startsWith('default-token-');
}

/**
 * Deletes the namespace that the installer made, unless somebody else keeps something
 * in it. Resolves to why it stays; undefined when it goes or is not there.
 */
export async function removeMeshNamespace(client: KubeClient, name: string): Promise<string | undefined> {
  const why = await whyMeshNamespaceStays(client, name, () => false);
  if (why === undefined) await client.delete({ resource: namespaces, name });
  return why;
}

/** Why a purge leaves the namespace; undefined when it does not, or there is none. `isGoing`: what is removed before. */
export async function whyMeshNamespaceStays(
  client: KubeClient,
  name: string,
  isGoing: (object: KubeObject, kind: string) => boolean,
): Promise<string | undefined> {
  const live = await client.getOrUndefined<Namespace>({ resource: namespaces, name });
  if (live === undefined) return undefined;
  if (!isOurs(live)) return 'it was there before the mesh';
  const others = await mapConcurrently(telling, async (resource) =>
    (await listKnown<KubeObject>(client, resource, { namespace: name }))
      .filter((o) => o.metadata.deletionTimestamp === undefined && !isBuiltIn(resource, o))
      .filter((o) => !isGoing(o, resource.kind))
      .map((o) => `${resource.kind} ${o.metadata.name}`),
  );
  const found = others.flat();
  if (found.length === 0) return undefined;
  const shownMax = 5;
  return `it holds other objects: ${found.slice(0, shownMax).join(', ')}${found.length > shownMax ? ', ...' : ''}`;
}
