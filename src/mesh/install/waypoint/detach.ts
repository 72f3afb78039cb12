import type { KubeClient } from '#base/kube/client.js';
import { useWaypoint, useWaypointNamespace } from '#base/kube/labels.js';
import { daemonSets, jobs, replicaSets, type Resource, statefulSets } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { listWaypointUsers, waypointUserResources } from '../../inspect/waypoint-users.js';
import { type WaypointUser, waypointUserText } from '../../rules/waypoint-users.js';

const patch = { metadata: { labels: { [useWaypoint]: null, [useWaypointNamespace]: null } } };

/**
 * Removes the waypoint labels of one user. Resolves with what will bring them back: the template that a pod was made
 * from; undefined when nothing will.
 */
export async function detachUser(client: KubeClient, user: WaypointUser): Promise<string | undefined> {
  const { kind, name, namespace } = user;
  const resource = waypointUserResources[kind];
  const after = await client.patch<KubeObject>({ resource, name, namespace }, patch);
  return kind === 'Pod' ? labeledTemplate(client, after) : undefined;
}

/** Removes the waypoint labels of everything that has them, also those of waypoints that do not exist. */
export async function detachAll(client: KubeClient): Promise<string[]> {
  const users = await listWaypointUsers(client);
  for (const user of users) await detachUser(client, user);
  return users.map(waypointUserText);
}

const controllers: Readonly<Record<string, Resource>> = {
  ReplicaSet: replicaSets,
  StatefulSet: statefulSets,
  DaemonSet: daemonSets,
  Job: jobs,
};

interface Templated extends KubeObject {
  readonly spec?: { readonly template?: { readonly metadata?: KubeObject['metadata'] } };
}

/** The controller whose template gives its pods the label, by the name people change it under. */
async function labeledTemplate(client: KubeClient, pod: KubeObject): Promise<string | undefined> {
  const owner = controllerOf(pod);
  const resource = controllers[owner?.kind ?? ''];
  if (owner === undefined || resource === undefined) return undefined;
  const { namespace } = pod.metadata;
  const live = await client.getOrUndefined<Templated>({ resource, namespace, name: owner.name });
  if (live?.spec?.template?.metadata?.labels?.[useWaypoint] === undefined) return undefined;
  const { kind, name } = controllerOf(live) ?? owner;
  return `${kind} ${namespace}/${name}`;
}

function controllerOf(object: KubeObject) {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}
