import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { discoverResources, isObjectAbsent, resourceOfKind } from '../../base/discovery.js';
import { groupVersionOf, pathOf, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';

/** How many replicas an object is to have, and has. */
export interface ScaleOfObject {
  readonly resource: Resource;
  readonly uid: string;
  readonly replicas: number;
  readonly currentReplicas: number;
}

type ScaleObject = KubeObject & { spec?: { replicas?: number }; status?: { replicas?: number } };

/** `plural.group`, as messages name a resource. */
export function qualifiedResourceName({ plural, group }: Resource): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/**
 * The scale of an object of any kind, asked of the API server; undefined when the object is gone.
 * Throws when its kind has no scale.
 */
export async function findScale(
  client: KubeClient,
  of: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly namespace: string;
  },
): Promise<ScaleOfObject | undefined> {
  const resource = resourceOfKind(await discoverResources(client), of);
  if (resource === undefined) {
    const { group } = groupVersionOf(of.apiVersion);
    throw new Error(`no matches for kind "${of.kind}" in group "${group}"`);
  }
  const path = pathOf(resource, { namespace: of.namespace, name: of.name, subresource: 'scale' });
  try {
    const { metadata, spec, status } = await client.request<ScaleObject>({ method: 'GET', path });
    return {
      resource,
      uid: metadata.uid ?? '',
      replicas: spec?.replicas ?? 0,
      currentReplicas: status?.replicas ?? 0,
    };
  } catch (error) {
    if (isObjectAbsent(error, of.name)) return undefined;
    if (!isNotFound(error)) throw error;
    throw new Error(`${qualifiedResourceName(resource)} does not implement the scale subresource`, {
      cause: error,
    });
  }
}
