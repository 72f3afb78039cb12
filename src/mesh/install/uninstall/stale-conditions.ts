import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { authorizationPolicies, type Resource, services } from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { listKnown } from './generated-objects.js';

/** What the controller claims about other people's objects, by kind. */
const claims: readonly { readonly resource: Resource; readonly types: readonly string[] }[] = [
  { resource: authorizationPolicies, types: ['ZtunnelAccepted', 'WaypointAccepted'] },
  { resource: services, types: ['istio.io/WaypointBound'] },
];

type WithConditions = KubeObject & { status?: { conditions?: Condition[] } };

/** Takes back what the controller said of policies and Services: nobody enforces or serves them any more. */
export async function removeStaleConditions(client: KubeClient): Promise<void> {
  for (const { resource, types } of claims) {
    const isStale = (condition: Condition) => types.includes(condition.type);
    const claimed = (await listKnown<WithConditions>(client, resource)).filter(
      (object) => object.status?.conditions?.some(isStale) === true,
    );
    await mapConcurrently(claimed, async ({ metadata, status }) => {
      const conditions = (status?.conditions ?? []).filter((condition) => !isStale(condition));
      const ref = { resource, name: metadata.name, namespace: metadata.namespace, subresource: 'status' };
      try {
        await client.patch(ref, { status: { conditions: conditions.length === 0 ? null : conditions } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    });
  }
}
