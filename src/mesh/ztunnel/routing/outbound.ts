import { isSpiffeId, type SpiffeId } from '../../identity/spiffe.js';
import type { MeshState } from '../state/mesh-state.js';
import { formatHostPort, type HostPort } from '#base/net/authority.js';
import { type GatewayRef, type Service, serviceKey, type Workload } from '../state/model.js';
import { chooseIp, selectEndpoint, type Upstream } from './endpoint.js';
import { isInstanceOf, resolveGateway, waypointOf } from './waypoint.js';

/** What to do with a connection leaving a workload. */
export type OutboundRoute =
  | {
      readonly kind: 'hbone';
      readonly nextHop: HostPort;
      readonly authority: string;
      readonly expectedIdentities: readonly SpiffeId[];
      /** Where the traffic goes: the backend, or the waypoint in front of it. */
      readonly workload: Workload;
      readonly service: Service | undefined;
      readonly isWaypoint: boolean;
    }
  | {
      readonly kind: 'tcp';
      readonly destination: HostPort;
      readonly workload: Workload | undefined;
      readonly service: Service | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly reason: string;
      readonly service: Service | undefined;
      readonly workload: Workload | undefined;
    };

export interface OutboundRequest {
  readonly source: Workload;
  readonly destination: HostPort;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Port every in-pod HBONE listener has. */
const inboundHbonePort = 15008;

/**
 * Decides where a connection goes (order as upstream): the service's waypoint, a backend of the service, the
 * workload's waypoint, the workload itself, or untouched when the mesh does not know the address. A waypoint without
 * a healthy instance refuses the connection: skipping it would skip its policies.
 */
export function resolveOutbound(state: MeshState, request: OutboundRequest): OutboundRoute {
  const { source, destination, random } = request;
  const network = source.network;
  const exact = state.workloadAt(network, destination.host);
  const service = state.serviceAt({ network, ip: destination.host, clientNamespace: source.namespace });
  if (service !== undefined && exact === undefined) {
    const waypoint = waypointOf(service, random);
    if (waypoint !== undefined)
      return viaWaypoint(state, { request, waypoint, service, workload: undefined });
  }
  if (service !== undefined) {
    const upstream = selectEndpoint(state, {
      service,
      servicePort: destination.port,
      source,
      dialledIp: destination.host,
      random,
    });
    if (upstream !== undefined) return direct(request, upstream);
    if (service.loadBalancer?.mode === 'Passthrough') {
      return { kind: 'tcp', destination, workload: undefined, service };
    }
    const reason = `no healthy upstream for ${serviceKey(service)} port ${destination.port}`;
    return { kind: 'refuse', reason, service, workload: undefined };
  }
  if (exact === undefined) return { kind: 'tcp', destination, workload: undefined, service: undefined };
  if (exact.waypoint !== undefined && !isInstanceOf(state, exact.waypoint, source)) {
    return viaWaypoint(state, { request, waypoint: exact.waypoint, service: undefined, workload: exact });
  }
  const ip = chooseIp(exact, undefined, destination.host);
  return direct(request, { workload: exact, ip, port: destination.port, service: undefined });
}

function viaWaypoint(
  state: MeshState,
  o: {
    request: OutboundRequest;
    waypoint: GatewayRef;
    service: Service | undefined;
    workload: Workload | undefined;
  },
): OutboundRoute {
  const { source, destination, random } = o.request;
  const upstream = resolveGateway(state, {
    gateway: o.waypoint,
    source,
    dialledIp: destination.host,
    random,
  });
  if (upstream?.ip === undefined) {
    const reason = `waypoint ${describeGateway(o.waypoint)} has no healthy instance, refusing to go around it`;
    return { kind: 'refuse', reason, service: o.service, workload: o.workload };
  }
  if (upstream.workload.network !== source.network) return crossNetwork(upstream);
  return {
    kind: 'hbone',
    nextHop: { host: upstream.ip, port: upstream.port },
    authority: formatHostPort(destination),
    expectedIdentities: expected(upstream),
    workload: upstream.workload,
    service: o.service,
    isWaypoint: true,
  };
}

function direct(request: OutboundRequest, upstream: Upstream): OutboundRoute {
  const { workload, ip, port, service } = upstream;
  if (workload.network !== request.source.network) return crossNetwork(upstream);
  if (ip === undefined) {
    return { kind: 'refuse', reason: `workload ${workload.uid} has no address`, service, workload };
  }
  if (workload.protocol === 'TCP') return { kind: 'tcp', destination: { host: ip, port }, workload, service };
  return {
    kind: 'hbone',
    nextHop: { host: ip, port: inboundHbonePort },
    authority: formatHostPort({ host: ip, port }),
    expectedIdentities: expected(upstream),
    workload,
    service,
    isWaypoint: false,
  };
}

function crossNetwork({ workload, service }: Upstream): OutboundRoute {
  const reason = `workload ${workload.uid} is on network ${workload.network}, which this mesh does not reach`;
  return { kind: 'refuse', reason, service, workload };
}

/** The identities a next hop may have: its own, and those its service declares. */
function expected(upstream: Upstream): SpiffeId[] {
  const declared = (upstream.service?.subjectAltNames ?? []).filter(isSpiffeId);
  return [...new Set([...declared, upstream.workload.identity])];
}

function describeGateway({ destination }: GatewayRef): string {
  return destination.kind === 'hostname'
    ? `${destination.namespace}/${destination.hostname}`
    : `${destination.network}/${destination.ip}`;
}
