import type { ClientAffinity } from '../../view/client-affinity.js';
import { addressFor } from '../../view/host.js';
import type { GatewayRef, KnownService, KnownWorkload } from '../../view/known.js';
import type { MeshView } from '../../view/mesh-view.js';
import { selectHost, type Upstream } from './upstream.js';

/** The waypoint one connection to a service uses; undefined when the service has none. */
export function sampleWaypoint(service: KnownService, random: () => number): GatewayRef | undefined {
  const { weightedWaypoints, waypoint } = service;
  let left = random() * weightedWaypoints.reduce((sum, { weight }) => sum + weight, 0);
  for (const { destination, weight } of weightedWaypoints) {
    left -= weight;
    if (left < 0) return destination;
  }
  return waypoint;
}

/** A usable instance of a waypoint; undefined when there is none, in which case the caller must refuse. */
export function resolveGateway(
  view: MeshView,
  o: {
    gateway: GatewayRef;
    /** The service that was called, if one was. */
    service: KnownService | undefined;
    source: KnownWorkload;
    calledIp: string;
    random: () => number;
    affinity: ClientAffinity;
  },
): Upstream | undefined {
  const { gateway, source, random, affinity } = o;
  const port = gateway.hboneMtlsPort;
  // One that is named by address is reached at that address, one that is named by name in the family of the call.
  const calledIp = gateway.destination.kind === 'address' ? gateway.destination.ip : o.calledIp;
  const found = view.gatewayAt(gateway, source.namespace);
  if (found === undefined) return undefined;
  if (found.kind === 'service')
    return selectHost(view, {
      service: found.service,
      // A client that stays with a host stays with the waypoint that knows which.
      bindsBy: o.service,
      port,
      source,
      calledIp,
      random,
      affinity,
      purpose: 'waypoint',
    });
  const { workload } = found;
  const ip = addressFor(workload, calledIp);
  const isUsable = workload.status !== 'Unhealthy' && workload.network === source.network;
  return isUsable && ip !== undefined ? { workload, ip, port, service: undefined } : undefined;
}

/** Whether a workload is itself an instance of the waypoint; it then must not send its traffic to itself. */
export function isInstanceOf(view: MeshView, gateway: GatewayRef, source: KnownWorkload): boolean {
  const found = view.gatewayAt(gateway, source.namespace);
  if (found === undefined) return false;
  return found.kind === 'workload'
    ? found.workload.uid === source.uid
    : source.services.has(found.service.key);
}
