import { counted } from '#base/collections/counted.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { isForbidden, isNotFound } from '#base/kube/api-error.js';
import { gatewayName, waypointClass } from '#base/kube/labels.js';
import type { KubeClient } from '#base/kube/client.js';
import { gatewayClasses, gateways, pods } from '#base/kube/resource.js';
import type { Gateway, GatewayClass, Pod } from '#base/kube/types.js';
import { waypointKey, waypointOf } from '../rules/waypoint.js';
import { waypointUserText } from '../rules/waypoint-users.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { isPodReady } from './component-pods.js';
import { failedCreates } from './pod-trouble.js';
import { lookForWaypointUsers, type SeenWaypointUsers } from './waypoint-users.js';

/** A waypoint as asked for and as it is. */
export interface WaypointReport {
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  /** `service`, `workload`, `all` or `none`. */
  readonly trafficType: string;
  readonly address: string | undefined;
  readonly programmed: { readonly status: string; readonly reason: string; readonly message: string };
  readonly pods: { readonly ready: number; readonly total: number };
  /** Why its pods are refused, as events tell; only of one that has none. */
  readonly refusals: readonly string[];
  /** What is labeled to use it, as `Namespace x`, `Service x/y`, `Pod x/y`. */
  readonly users: readonly string[];
  /** Where else users may be that this user may not look at: answers of the API server. */
  readonly unseenUsers: readonly string[];
  /** Ready in truth: programmed, with an address and a ready pod. */
  readonly isReady: boolean;
}

/** Waypoints of a namespace, or of all, with what the cluster shows of them. */
export async function listWaypoints(
  client: KubeClient,
  o: { readonly namespace?: string | undefined; readonly name?: string | undefined },
): Promise<readonly WaypointReport[]> {
  const [allGateways, gatewayClass, allPods, users] = await Promise.all([
    client.list<Gateway>(gateways, { namespace: o.namespace }),
    waypointClassOf(client),
    client.list<Pod>(pods, { namespace: o.namespace, labelSelector: gatewayName }),
    lookForWaypointUsers(client, o.namespace),
  ]);
  const reports = allGateways
    .filter(
      (g) =>
        g.spec.gatewayClassName === waypointClass && (o.name === undefined || g.metadata.name === o.name),
    )
    .map((gateway) => describeWaypoint({ gateway, gatewayClass, allPods, users }))
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`));
  return mapConcurrently(
    reports,
    async (report) =>
      report.pods.total > 0
        ? report
        : { ...report, refusals: await failedCreates(client, report.namespace, report.name) },
    eventListsMax,
  );
}

/** Namespaces whose events are listed at once. */
const eventListsMax = 8;

/** The class of waypoints; undefined where there is none, or where the user may not look: it matters for its labels only. */
async function waypointClassOf(client: KubeClient): Promise<GatewayClass | undefined> {
  try {
    return await client.getOrUndefined<GatewayClass>({ resource: gatewayClasses, name: waypointClass });
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** As {@link listWaypoints}, for people: rejects with MESH0906 when the cluster lacks the Gateway API. */
export async function requireWaypoints(
  ...args: Parameters<typeof listWaypoints>
): Promise<readonly WaypointReport[]> {
  try {
    return await listWaypoints(...args);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new MeshError('MESH0906', 'the cluster does not know the kind Gateway', { cause: error });
  }
}

/** What a waypoint lacks to be ready; undefined when it is. */
export function waypointShortfall(waypoint: WaypointReport): string | undefined {
  const { programmed, address, pods: own, refusals, isReady } = waypoint;
  if (isReady) return undefined;
  const [refusal] = refusals;
  if (refusal !== undefined) return `its pods are refused: ${refusal}`;
  if (programmed.status !== 'True') return `${programmed.reason}: ${programmed.message}`;
  return address === undefined ? 'it has no address' : `${own.ready} of ${counted(own.total, 'pod')} ready`;
}

function describeWaypoint(from: {
  gateway: Gateway;
  gatewayClass: GatewayClass | undefined;
  allPods: readonly Pod[];
  users: SeenWaypointUsers;
}): WaypointReport {
  const { gateway } = from;
  const namespace = gateway.metadata.namespace ?? '';
  const name = gateway.metadata.name;
  const own = from.allPods.filter(
    (p) =>
      p.metadata.namespace === namespace &&
      p.metadata.labels?.[gatewayName] === name &&
      p.metadata.deletionTimestamp === undefined,
  );
  const programmed = gateway.status?.conditions?.find((c) => c.type === 'Programmed');
  const address = gateway.status?.addresses?.[0]?.value;
  const key = waypointKey(namespace, name);
  const ready = own.filter(isPodReady).length;
  return {
    namespace,
    name,
    revision: gateway.metadata.labels?.['istio.io/rev'] ?? 'default',
    trafficType: waypointOf(gateway, from.gatewayClass).traffic,
    address,
    programmed: {
      status: programmed?.status ?? 'Unknown',
      reason: programmed?.reason ?? 'Pending',
      message: programmed?.message ?? 'the controller has not reported on this Gateway yet',
    },
    pods: { ready, total: own.length },
    refusals: [],
    users: from.users.users.filter((user) => user.waypoint === key).map(waypointUserText),
    unseenUsers: from.users.unseen,
    isReady: programmed?.status === 'True' && address !== undefined && ready > 0,
  };
}
