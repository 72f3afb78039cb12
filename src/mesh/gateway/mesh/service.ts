import { isServerFirstPort } from '../../rules/app-protocol.js';
import {
  AppProtocol,
  LoadBalancing_HealthPolicy as HealthPolicy,
  LoadBalancing_Mode as Mode,
  LoadBalancing_Scope as WireScope,
  type Service as WireService,
} from '../../xds/gen/istio/workload_pb.js';
import { type GatewayRef, readGateway, readIp } from './workload.js';

/** What a port speaks. `sniff`: look at the first bytes. `tls` is opaque. */
export type PortProtocol = 'http1' | 'http2' | 'tcp' | 'tls' | 'sniff';

/** One port of a service. */
export interface ServicePort {
  readonly port: number;
  /** Pod port where an endpoint does not say otherwise; 0 when only endpoints know. */
  readonly targetPort: number;
  readonly protocol: PortProtocol;
}

/** How far away an endpoint may be, nearest last. */
export type LocalityScope = 'network' | 'cluster' | 'region' | 'zone' | 'subzone' | 'node';

/** How endpoints are preferred. */
export interface LoadBalancing {
  readonly preference: readonly LocalityScope[];
  /** strict: only endpoints matching every scope; failover: the best matching ones; passthrough: the address asked for. */
  readonly mode: 'any' | 'strict' | 'failover' | 'passthrough';
  readonly allowsUnhealthy: boolean;
}

/** A service of the mesh as this proxy uses it. */
export interface Service {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly { readonly network: string; readonly ip: string }[];
  readonly ports: ReadonlyMap<number, ServicePort>;
  /** The gateway or gateways in charge of it. */
  readonly waypoints: readonly GatewayRef[];
  readonly loadBalancing: LoadBalancing;
}

/** The protocol of a port nothing was declared about. */
export function undeclaredProtocol(port: number): PortProtocol {
  return isServerFirstPort(port) ? 'tcp' : 'sniff';
}

/** Reads a service off the wire. Throws on what cannot be a service, which rejects that resource. */
export function readService(wire: WireService): Service {
  if (wire.namespace === '' || wire.hostname === '') throw new Error('service without namespace or hostname');
  const waypoints = [wire.waypoint, ...wire.weightedWaypoints.map(({ destination }) => destination)];
  return {
    key: `${wire.namespace}/${wire.hostname}`,
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    vips: wire.addresses
      .filter(({ length, address }) => length === undefined || length === address.length * 8)
      .map(({ network, address }) => ({ network, ip: readIp(address) })),
    ports: new Map(
      wire.ports.map(({ servicePort, targetPort, appProtocol }) => [
        servicePort,
        { port: servicePort, targetPort, protocol: portProtocol(appProtocol, servicePort) },
      ]),
    ),
    waypoints: waypoints.flatMap((gateway) => readGateway(gateway) ?? []),
    loadBalancing: readLoadBalancing(wire),
  };
}

function portProtocol(protocol: AppProtocol, port: number): PortProtocol {
  switch (protocol) {
    case AppProtocol.HTTP11:
      return 'http1';
    case AppProtocol.HTTP2:
    case AppProtocol.GRPC:
      return 'http2';
    case AppProtocol.TCP:
      return 'tcp';
    case AppProtocol.TLS:
      return 'tls';
    default:
      return undeclaredProtocol(port);
  }
}

const scopes: Readonly<Record<number, LocalityScope>> = {
  [WireScope.NETWORK]: 'network',
  [WireScope.CLUSTER]: 'cluster',
  [WireScope.REGION]: 'region',
  [WireScope.ZONE]: 'zone',
  [WireScope.SUBZONE]: 'subzone',
  [WireScope.NODE]: 'node',
};

const modes: Readonly<Record<number, LoadBalancing['mode']>> = {
  [Mode.STRICT]: 'strict',
  [Mode.FAILOVER]: 'failover',
  [Mode.PASSTHROUGH]: 'passthrough',
};

function readLoadBalancing({ loadBalancing }: WireService): LoadBalancing {
  return {
    preference: (loadBalancing?.routingPreference ?? []).map((scope) => {
      const known = scopes[scope];
      if (known === undefined) throw new Error(`unknown routing preference ${scope}`);
      return known;
    }),
    mode: modes[loadBalancing?.mode ?? Mode.UNSPECIFIED_MODE] ?? 'any',
    allowsUnhealthy: loadBalancing?.healthPolicy === HealthPolicy.ALLOW_ALL,
  };
}
