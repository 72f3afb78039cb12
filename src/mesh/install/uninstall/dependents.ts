import { listWaypoints } from '../../inspect/waypoint-report.js';
import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { dataplaneMode, redirection } from '#base/kube/labels.js';
import { namespaces, pods } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';

/** What stops being part of a mesh when it is uninstalled. */
export interface Dependents {
  /** Namespaces labeled for the mesh; the labels stay, they are the user's. */
  readonly namespaces: readonly string[];
  /** Pods whose traffic is redirected now, as namespace/name. */
  readonly pods: readonly string[];
  /** Waypoints, as namespace/name. */
  readonly waypoints: readonly string[];
}

/** Who relies on the mesh now. */
export async function findDependents(client: KubeClient): Promise<Dependents> {
  const [labeled, all, waypoints] = await Promise.all([
    client.list<Namespace>(namespaces, { labelSelector: `${dataplaneMode}=ambient` }),
    client.list<Pod>(pods),
    waypointNames(client),
  ]);
  return {
    namespaces: labeled.map((n) => n.metadata.name),
    pods: all
      .filter((p) => p.metadata.annotations?.[redirection] !== undefined)
      .map((p) => `${p.metadata.namespace}/${p.metadata.name}`),
    waypoints,
  };
}

async function waypointNames(client: KubeClient): Promise<string[]> {
  try {
    return (await listWaypoints(client, {})).map((w) => `${w.namespace}/${w.name}`);
  } catch (error) {
    // Without the Gateway API there are no waypoints.
    if (isNotFound(error)) return [];
    throw error;
  }
}
