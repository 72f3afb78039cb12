import type { Cidr } from '#base/net/cidr.js';
import type { SpiffeId } from '../identity/spiffe.js';

/**
 * What a proxy knows of the mesh, as checked values. The words are those of the state dump, which are upstream's;
 * `Unknown` stands for what a newer control plane says and this proxy cannot act on.
 */

/** Where a waypoint or network gateway is to be found. */
export interface GatewayRef {
  readonly destination:
    | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string }
    | { readonly kind: 'address'; readonly network: string; readonly ip: string }
    /** There is one, but how it is named has no meaning here: nothing is it, and nobody may go around it. */
    | { readonly kind: 'unknown' };
  readonly hboneMtlsPort: number;
}

export type WorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';

/** `Terminating`: on its way out but still serving, to be used where nothing is healthy. */
export type HealthStatus = 'Healthy' | 'Terminating' | 'Unhealthy';

/** What two places may have in common. */
export type LocalityScope = 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster' | 'Network' | 'Unknown';

/** Region, zone and subzone; empty where unknown. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** Service port to port of the workload. */
export type PortMap = ReadonlyMap<number, number>;

/** A workload as the control plane describes it. */
export interface KnownWorkload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly hostname: string;
  readonly network: string;
  readonly protocol: 'HBONE' | 'TCP' | 'Unknown';
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly identity: SpiffeId;
  readonly waypoint: GatewayRef | undefined;
  readonly networkGateway: GatewayRef | undefined;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: WorkloadType;
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel:
    | { readonly protocol: 'NONE' | 'PROXY' | 'Unknown'; readonly port: number }
    | undefined;
  /** Ports by key of each service it is an endpoint of. */
  readonly services: ReadonlyMap<string, PortMap>;
  readonly authorizationPolicies: readonly string[];
  readonly status: HealthStatus;
  readonly clusterId: string;
  readonly locality: Locality;
  readonly networkMode: 'Standard' | 'HostNetwork';
  /** Share of the calls it gets, relative to others; 0: none. */
  readonly capacity: number;
}

/** What a port was declared to speak; `Undeclared`: nothing is known. */
export type DeclaredProtocol = 'HTTP11' | 'HTTP2' | 'TCP' | 'TLS' | 'Undeclared';

export interface KnownServicePort {
  readonly port: number;
  /** Port of a workload that does not name its own; 0: each names its own. */
  readonly targetPort: number;
  readonly protocol: DeclaredProtocol;
}

/** How hosts are preferred. */
export interface LoadBalancing {
  readonly routingPreferences: readonly LocalityScope[];
  /** Strict: only hosts that share every scope. Failover: those that share most. Passthrough: the address called. */
  readonly mode: 'Standard' | 'Strict' | 'Failover' | 'Passthrough';
  readonly healthPolicy: 'OnlyHealthy' | 'AllowAll';
}

/** A service as the control plane describes it; its hosts are kept apart. */
export interface KnownService {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly { readonly network: string; readonly ip: string }[];
  readonly cidrVips: readonly { readonly network: string; readonly cidr: Cidr }[];
  readonly ports: ReadonlyMap<number, KnownServicePort>;
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayRef | undefined;
  readonly weightedWaypoints: readonly { readonly destination: GatewayRef; readonly weight: number }[];
  readonly loadBalancer: LoadBalancing | undefined;
  /** Seconds without a call for which a client stays with its host; undefined: calls are spread. */
  readonly affinitySeconds: number | undefined;
  /** Undefined: whatever families its hosts have. */
  readonly ipFamilies: 'IPv4' | 'IPv6' | 'Dual' | undefined;
  readonly canonical: boolean;
  readonly visibility: 'Public' | 'Namespace';
}

/** `network/ip`: how addresses are named; an empty network gives a leading slash. */
export function networkAddress(network: string, ip: string): string {
  return `${network}/${ip}`;
}
