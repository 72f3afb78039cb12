import type { KubeClient } from '#base/kube/client.js';
import { useWaypoint, useWaypointNamespace } from '#base/kube/labels.js';
import { namespaces, services } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';

const patch = { metadata: { labels: { [useWaypoint]: null, [useWaypointNamespace]: null } } };

/** Removes the waypoint labels of `Namespace x` or `Service x/y`, as a waypoint report names them. */
export async function detachUser(client: KubeClient, user: string): Promise<void> {
  const [kind = '', key = ''] = user.split(' ');
  if (kind === 'Namespace') {
    await client.patch({ resource: namespaces, name: key }, patch);
    return;
  }
  const [namespace = '', name = ''] = key.split('/');
  await client.patch({ resource: services, namespace, name }, patch);
}

/** Removes the waypoint labels of all namespaces and services, also those of waypoints that do not exist. */
export async function detachAll(client: KubeClient): Promise<string[]> {
  const [spaces, bound] = await Promise.all([
    client.list<KubeObject>(namespaces, { labelSelector: useWaypoint }),
    client.list<KubeObject>(services, { labelSelector: useWaypoint }),
  ]);
  const users = [
    ...spaces.map((n) => `Namespace ${n.metadata.name}`),
    ...bound.map((s) => `Service ${s.metadata.namespace}/${s.metadata.name}`),
  ];
  for (const user of users) await detachUser(client, user);
  return users;
}
