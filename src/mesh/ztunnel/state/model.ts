import { type SpiffeId } from '../../identity/spiffe.js';

/** Where a waypoint or network gateway is to be found. */
export interface GatewayRef {
  readonly destination:
    | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string }
    | { readonly kind: 'address'; readonly network: string; readonly ip: string };
  readonly hboneMtlsPort: number;
}

export type WorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';
export type HealthStatus = 'Healthy' | 'Unhealthy';
export type Scope = 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster' | 'Network';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** Service port to target port; a target of 0 means that each endpoint names its own. */
export type PortMap = ReadonlyMap<number, number>;

/** A workload as the control plane describes it, checked. */
export interface Workload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly hostname: string;
  readonly network: string;
  readonly protocol: 'HBONE' | 'TCP';
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
  readonly applicationTunnel: { readonly protocol: 'NONE' | 'PROXY'; readonly port: number } | undefined;
  /** By `namespace/hostname`. */
  readonly services: ReadonlyMap<string, PortMap>;
  readonly authorizationPolicies: readonly string[];
  readonly status: HealthStatus;
  readonly clusterId: string;
  readonly locality: Locality;
  readonly networkMode: 'Standard' | 'HostNetwork';
  readonly capacity: number;
}

/** A service as the control plane describes it, checked. Endpoints are kept apart. */
export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly { readonly network: string; readonly ip: string }[];
  readonly cidrVips: readonly { readonly network: string; readonly ip: string; readonly length: number }[];
  readonly ports: PortMap;
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayRef | undefined;
  readonly weightedWaypoints: readonly { readonly destination: GatewayRef; readonly weight: number }[];
  readonly loadBalancer:
    | {
        readonly routingPreferences: readonly Scope[];
        readonly mode: 'Standard' | 'Strict' | 'Failover' | 'Passthrough';
        readonly healthPolicy: 'OnlyHealthy' | 'AllowAll';
      }
    | undefined;
  readonly ipFamilies: 'IPv4' | 'IPv6' | 'Dual' | undefined;
  readonly canonical: boolean;
  readonly visibility: 'Public' | 'Namespace';
}

/** A workload's membership in a service. */
export interface Endpoint {
  readonly workloadUid: string;
  readonly ports: PortMap;
  readonly status: HealthStatus;
}

/** `namespace/hostname`: how services are named on the wire and in dumps. */
export function serviceKey(service: { namespace: string; hostname: string }): string {
  return `${service.namespace}/${service.hostname}`;
}

/** `network/ip`: how addresses are named; an empty network gives a leading slash. */
export function networkAddress(network: string, ip: string): string {
  return `${network}/${ip}`;
}
