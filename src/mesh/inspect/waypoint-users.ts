import type { KubeClient } from '#base/kube/client.js';
import { useWaypoint } from '#base/kube/labels.js';
import { namespaces, pods, type Resource, serviceAccounts, services } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { type WaypointUser, waypointUserKinds, waypointUsers } from '../rules/waypoint-users.js';

/** Where objects of each kind that can name a waypoint are found. */
export const waypointUserResources: Readonly<Record<WaypointUser['kind'], Resource>> = {
  Namespace: namespaces,
  Service: services,
  ServiceAccount: serviceAccounts,
  Pod: pods,
};

/** Everything in the cluster that names a waypoint, existing or not. */
export async function listWaypointUsers(client: KubeClient): Promise<readonly WaypointUser[]> {
  const users = await Promise.all(
    waypointUserKinds.map(async (kind) => {
      const labeled = await client.list<KubeObject>(waypointUserResources[kind], {
        labelSelector: useWaypoint,
      });
      return waypointUsers(kind, labeled);
    }),
  );
  return users.flat();
}
