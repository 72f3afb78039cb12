import { formatHostPort, type HostPort } from '#base/net/authority.js';
import { isSpiffeId, type SpiffeId } from '../../identity/spiffe.js';
import { hbonePort } from '../../hbone/parameters.js';
import type { ClientAffinity } from '../../view/client-affinity.js';
import { addressFor } from '../../view/host.js';
import type { GatewayRef, KnownService, KnownWorkload } from '../../view/known.js';
import type { MeshView } from '../../view/mesh-view.js';
import { selectHost, type Upstream } from './upstream.js';
import { isInstanceOf, resolveGateway, sampleWaypoint } from './waypoint.js';

/** What to do with a connection leaving a workload. */
export type OutboundRoute =
  | {
      readonly kind: 'hbone';
      readonly nextHop: HostPort;
      readonly authority: string;
      readonly expectedIdentities: readonly SpiffeId[];
      /** Where the traffic goes: the backend, or the waypoint in front of it. */
      readonly workload: KnownWorkload;
      readonly service: KnownService | undefined;
      readonly isWaypoint: boolean;
    }
  | {
      readonly kind: 'tcp';
      readonly destination: HostPort;
      readonly workload: KnownWorkload | undefined;
      readonly service: KnownService | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly reason: string;
      readonly service: KnownService | undefined;
      readonly workload: KnownWorkload | undefined;
    };

export interface OutboundRequest {
  readonly source: KnownWorkload;
  readonly destination: HostPort;
  /** In [0, 1). */
  readonly random: () => number;
  readonly affinity: ClientAffinity;
}

/**
 * Decides where a connection goes (order as upstream): the service's waypoint, a host of the service, the workload's
 * waypoint, the workload itself, or untouched when the mesh does not know the address. A waypoint without a usable
 * instance refuses the connection: skipping it would skip its policies.
 */
export function resolveOutbound(view: MeshView, request: OutboundRequest): OutboundRoute {
  const { source, destination } = request;
  const owner = view.ownerOf({
    network: source.network,
    ip: destination.host,
    clientNamespace: source.namespace,
  });
  if (owner === undefined) return { kind: 'tcp', destination, workload: undefined, service: undefined };
  return owner.kind === 'service'
    ? toService(view, request, owner.service)
    : toWorkload(view, request, owner.workload);
}

function toService(view: MeshView, request: OutboundRequest, service: KnownService): OutboundRoute {
  const { source, destination, random, affinity } = request;
  const waypoint = sampleWaypoint(service, random);
  if (waypoint !== undefined) return viaWaypoint(view, { request, waypoint, service, workload: undefined });
  if (service.loadBalancer?.mode === 'Passthrough')
    return { kind: 'tcp', destination, workload: undefined, service };
  const { host: calledIp, port } = destination;
  const upstream = selectHost(view, {
    service,
    port,
    source,
    calledIp,
    random,
    affinity,
    purpose: 'application',
  });
  if (upstream !== undefined) return direct(upstream);
  const reason = `no healthy upstream for ${service.key} port ${port}`;
  return { kind: 'refuse', reason, service, workload: undefined };
}

function toWorkload(view: MeshView, request: OutboundRequest, workload: KnownWorkload): OutboundRoute {
  const { source, destination } = request;
  const { waypoint } = workload;
  if (waypoint !== undefined && !isInstanceOf(view, waypoint, source))
    return viaWaypoint(view, { request, waypoint, service: undefined, workload });
  const ip = addressFor(workload, destination.host) ?? destination.host;
  return direct({ workload, ip, port: destination.port, service: undefined });
}

function viaWaypoint(
  view: MeshView,
  o: {
    request: OutboundRequest;
    waypoint: GatewayRef;
    service: KnownService | undefined;
    workload: KnownWorkload | undefined;
  },
): OutboundRoute {
  const { source, destination, random, affinity } = o.request;
  const { service, waypoint: gateway } = o;
  const calledIp = destination.host;
  const upstream = resolveGateway(view, { gateway, service, source, calledIp, random, affinity });
  if (upstream === undefined) {
    const reason = `waypoint ${describeGateway(o.waypoint)} has no healthy instance, refusing to go around it`;
    return { kind: 'refuse', reason, service: o.service, workload: o.workload };
  }
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

function direct(upstream: Upstream): OutboundRoute {
  const { workload, ip, port, service } = upstream;
  switch (workload.protocol) {
    case 'TCP':
      return { kind: 'tcp', destination: { host: ip, port }, workload, service };
    case 'HBONE':
      return {
        kind: 'hbone',
        nextHop: { host: ip, port: hbonePort },
        authority: formatHostPort({ host: ip, port }),
        expectedIdentities: expected(upstream),
        workload,
        service,
        isWaypoint: false,
      };
    case 'Unknown': {
      const reason = `workload ${workload.uid} takes a kind of tunnel that this proxy does not know`;
      return { kind: 'refuse', reason, service, workload };
    }
  }
}

/** The identities a next hop may have: its own, and those its service declares. */
function expected(upstream: Upstream): SpiffeId[] {
  const declared = (upstream.service?.subjectAltNames ?? []).filter(isSpiffeId);
  return [...new Set([...declared, upstream.workload.identity])];
}

function describeGateway({ destination }: GatewayRef): string {
  switch (destination.kind) {
    case 'hostname':
      return `${destination.namespace}/${destination.hostname}`;
    case 'address':
      return `${destination.network}/${destination.ip}`;
    case 'unknown':
      return 'of a kind that this proxy does not know';
  }
}
