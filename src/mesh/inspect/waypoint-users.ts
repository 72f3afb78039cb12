import { messageOf } from '#base/errors/mesh-error.js';
import { isForbidden } from '#base/kube/api-error.js';
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

/** Those who use waypoints as far as the user may look, and what could not be seen. */
export interface SeenWaypointUsers {
  readonly users: readonly WaypointUser[];
  readonly unseen: readonly string[];
}

/**
 * As {@link listWaypointUsers}, for reports: where the whole cluster may not be looked at, one namespace is. Not for
 * deleting: who is not seen may still use a waypoint.
 */
export async function lookForWaypointUsers(
  client: KubeClient,
  namespace: string | undefined,
): Promise<SeenWaypointUsers> {
  const unseen: string[] = [];
  const users = await Promise.all(
    waypointUserKinds.map(async (kind) => {
      const resource = waypointUserResources[kind];
      try {
        const labeled = await client.list<KubeObject>(resource, { labelSelector: useWaypoint });
        return waypointUsers(kind, labeled);
      } catch (error) {
        if (!isForbidden(error)) throw error;
        unseen.push(messageOf(error));
        return namespace === undefined ? [] : usersIn(namespace, kind);
      }
    }),
  );
  return { users: users.flat(), unseen };

  async function usersIn(home: string, kind: WaypointUser['kind']): Promise<readonly WaypointUser[]> {
    const resource = waypointUserResources[kind];
    try {
      if (resource.isNamespaced) {
        const query = { namespace: home, labelSelector: useWaypoint };
        return waypointUsers(kind, await client.list<KubeObject>(resource, query));
      }
      const found = await client.getOrUndefined<KubeObject>({ resource, name: home });
      return waypointUsers(kind, found === undefined ? [] : [found]);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return [];
    }
  }
}
