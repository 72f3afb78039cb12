import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { selfSubjectAccessReviews } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { resourceOf } from '../kinds.js';

/** One right that is needed. */
export interface NeededPermission {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace: string | undefined;
}

interface AccessReview extends KubeObject {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string };
}

/** Rights that applying (and later replacing) these objects takes. */
export function permissionsFor(
  objects: readonly KubeObject[],
  verbs: readonly string[] = ['get', 'create', 'patch'],
): NeededPermission[] {
  const needed = new Map<string, NeededPermission>();
  for (const object of objects) {
    const { group, plural, isNamespaced } = resourceOf(object);
    for (const verb of verbs) {
      const permission = {
        verb,
        group,
        resource: plural,
        namespace: isNamespaced ? object.metadata.namespace : undefined,
      };
      needed.set(permissionText(permission), permission);
    }
  }
  return [...needed.values()];
}

/** Which of the rights the user lacks, as the API server judges. */
export async function missingPermissions(
  client: KubeClient,
  needed: readonly NeededPermission[],
): Promise<NeededPermission[]> {
  const answers = await mapConcurrently(needed, async (permission) => {
    const review = await client.create<AccessReview>(selfSubjectAccessReviews, {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      metadata: {},
      spec: {
        resourceAttributes: {
          verb: permission.verb,
          group: permission.group,
          resource: permission.resource,
          ...(permission.namespace === undefined ? {} : { namespace: permission.namespace }),
        },
      },
    });
    return review.status?.allowed === true;
  });
  return needed.filter((_, index) => answers[index] !== true);
}

/** @throws MESH0306 naming every missing right */
export async function requirePermissions(
  client: KubeClient,
  needed: readonly NeededPermission[],
): Promise<void> {
  const missing = await missingPermissions(client, needed);
  if (missing.length === 0) return;
  throw new MeshError('MESH0306', 'you may not write all objects of the installation; nothing was changed', {
    evidence: `missing permissions:\n${missing.map((p) => `  ${permissionText(p)}`).join('\n')}`,
  });
}

/** `create deployments.apps in namespace istio-system`. */
export function permissionText(p: NeededPermission): string {
  const resource = p.group === '' ? p.resource : `${p.resource}.${p.group}`;
  return `${p.verb} ${resource}${p.namespace === undefined ? '' : ` in namespace ${p.namespace}`}`;
}
