import { MeshError } from '#base/errors/mesh-error.js';
import { isNotFound } from '#base/kube/api-error.js';
import { waypointClass, waypointFor } from '#base/kube/labels.js';
import type { KubeClient } from '#base/kube/client.js';
import { gateways, namespaces, pods, services } from '#base/kube/resource.js';
import type { Gateway, Namespace, Pod, Service } from '#base/kube/types.js';
import { gatewayName, useWaypoint, useWaypointNamespace } from '#base/kube/labels.js';
import { isPodReady } from './component-pods.js';

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
  /** What is labeled to use it, as `Namespace x`, `Service x/y`. */
  readonly users: readonly string[];
  /** Ready in truth: programmed, with an address and a ready pod. */
  readonly isReady: boolean;
}

/** Waypoints of a namespace, or of all, with what the cluster shows of them. */
export async function listWaypoints(
  client: KubeClient,
  o: { readonly namespace?: string | undefined; readonly name?: string | undefined },
): Promise<readonly WaypointReport[]> {
  const [allGateways, allPods, allNamespaces, allServices] = await Promise.all([
    client.list<Gateway>(gateways, { namespace: o.namespace }),
    client.list<Pod>(pods, { namespace: o.namespace, labelSelector: gatewayName }),
    client.list<Namespace>(namespaces, { labelSelector: useWaypoint }),
    client.list<Service>(services, { labelSelector: useWaypoint }),
  ]);
  return allGateways
    .filter(
      (g) =>
        g.spec.gatewayClassName === waypointClass && (o.name === undefined || g.metadata.name === o.name),
    )
    .map((gateway) => describeWaypoint({ gateway, allPods, allNamespaces, allServices }))
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`));
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

function describeWaypoint(from: {
  gateway: Gateway;
  allPods: readonly Pod[];
  allNamespaces: readonly Namespace[];
  allServices: readonly Service[];
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
  const uses = (object: Namespace | Service, home: string): boolean =>
    object.metadata.labels?.[useWaypoint] === name &&
    (object.metadata.labels[useWaypointNamespace] ?? home) === namespace;
  const ready = own.filter(isPodReady).length;
  return {
    namespace,
    name,
    revision: gateway.metadata.labels?.['istio.io/rev'] ?? 'default',
    trafficType: gateway.metadata.labels?.[waypointFor] ?? 'service',
    address,
    programmed: {
      status: programmed?.status ?? 'Unknown',
      reason: programmed?.reason ?? 'Pending',
      message: programmed?.message ?? 'the controller has not reported on this Gateway yet',
    },
    pods: { ready, total: own.length },
    users: [
      ...from.allNamespaces
        .filter((n) => uses(n, n.metadata.name))
        .map((n) => `Namespace ${n.metadata.name}`),
      ...from.allServices
        .filter((s) => uses(s, s.metadata.namespace ?? ''))
        .map((s) => `Service ${s.metadata.namespace}/${s.metadata.name}`),
    ],
    isReady: programmed?.status === 'True' && address !== undefined && ready > 0,
  };
}
