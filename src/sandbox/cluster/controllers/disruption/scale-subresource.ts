import { isNotFound } from '../../../../kube/api-error.js';
import type { KubeClient } from '../../../../kube/client.js';
import { discoverResources, isObjectAbsent } from '../../../../kube/discovery.js';
import { pathOf } from '../../../../kube/resource.js';
import type { KubeObject, OwnerReference } from '../../../../kube/types.js';

/**
 * The scale of an owner of any kind, asked of the API server; undefined when the owner is gone.
 * Throws when its kind has no scale.
 */
export async function scaleOf(
  client: KubeClient,
  owner: OwnerReference,
  namespace: string,
): Promise<{ uid: string; replicas: number } | undefined> {
  const { all } = await discoverResources(client);
  const resource = all.find(
    (r) =>
      r.kind === owner.kind && (r.group === '' ? r.version : `${r.group}/${r.version}`) === owner.apiVersion,
  );
  if (resource === undefined) throw new Error(`no matches for kind "${owner.kind}" in "${owner.apiVersion}"`);
  const path = pathOf(resource, { namespace, name: owner.name, subresource: 'scale' });
  try {
    const scale = await client.request<KubeObject & { spec?: { replicas?: number } }>({
      method: 'GET',
      path,
    });
    const { uid } = scale.metadata;
    return uid === owner.uid ? { uid, replicas: scale.spec?.replicas ?? 0 } : undefined;
  } catch (error) {
    if (isObjectAbsent(error, owner.name)) return undefined;
    if (!isNotFound(error)) throw error;
    const id = resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
    throw new Error(`${id} does not implement the scale subresource`, { cause: error });
  }
}
