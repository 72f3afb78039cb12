import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { gateways } from '#base/kube/resource.js';
import type { Gateway } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { listKnown } from './generated-objects.js';

const ourClasses = new Set(['istio-waypoint', 'istio', 'istio-remote']);

/**
 * Gateways stay, they are the user's, but nobody serves them any more: their status
 * becomes what the Gateway API prescribes for a Gateway without a controller.
 */
export async function resetGatewayStatus(client: KubeClient): Promise<void> {
  const orphans = (await listKnown<Gateway>(client, gateways)).filter((g) =>
    ourClasses.has(g.spec.gatewayClassName),
  );
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const waiting = (type: string) => ({
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for controller',
    lastTransitionTime,
  });
  await mapConcurrently(orphans, async ({ metadata }) => {
    try {
      await client.patch(
        { resource: gateways, name: metadata.name, namespace: metadata.namespace, subresource: 'status' },
        {
          status: {
            addresses: null,
            listeners: null,
            conditions: [waiting('Accepted'), waiting('Programmed')],
          },
        },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  });
}
