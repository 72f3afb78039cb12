import { defaultTrustDomain, formatSpiffeId, isSpiffeId } from '../../identity/spiffe.js';
import {
  ApplicationTunnel_Protocol,
  type GatewayAddress,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  NetworkMode,
  type Port,
  type Service as WireService,
  Service_Visibility,
  TunnelProtocol,
  type Workload as WireWorkload,
  WorkloadStatus,
  WorkloadType as WireWorkloadType,
} from '../../xds/gen/istio/workload_pb.js';
import { bytesToIp } from '#base/net/address.js';
import type { GatewayRef, HealthStatus, PortMap, Scope, Service, Workload, WorkloadType } from './model.js';

/** Cluster a workload belongs to when the control plane names none. */
const defaultClusterId = 'Kubernetes';

/** Checks a workload as received. Throws, naming the field, when a value has no meaning here. */
export function decodeWorkload(wire: WireWorkload): Workload {
  if (wire.uid === '') throw new Error('workload without uid');
  const trustDomain = wire.trustDomain || defaultTrustDomain;
  const serviceAccount = wire.serviceAccount || 'default';
  const identity: string = formatSpiffeId({ trustDomain, namespace: wire.namespace, serviceAccount });
  if (!isSpiffeId(identity)) throw new Error(`workload cannot have the identity ${identity}`);
  const services = new Map<string, PortMap>();
  for (const [key, list] of Object.entries(wire.services)) {
    if (!key.includes('/')) throw new Error(`service key ${key} has no namespace`);
    services.set(key, decodePorts(list.ports));
  }
  const tunnel = wire.applicationTunnel;
  return {
    uid: wire.uid,
    name: wire.name,
    namespace: wire.namespace,
    addresses: wire.addresses.map(decodeIp),
    hostname: wire.hostname,
    network: wire.network,
    protocol: pick(protocols, wire.tunnelProtocol, 'tunnel protocol'),
    trustDomain,
    serviceAccount,
    identity,
    waypoint: decodeGateway(wire.waypoint),
    networkGateway: decodeGateway(wire.networkGateway),
    node: wire.node,
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    workloadType: pick(workloadTypes, wire.workloadType, 'workload type'),
    workloadName: wire.workloadName,
    nativeTunnel: wire.nativeTunnel,
    applicationTunnel:
      tunnel === undefined
        ? undefined
        : { protocol: pick(tunnelProtocols, tunnel.protocol, 'application tunnel'), port: tunnel.port },
    services,
    authorizationPolicies: wire.authorizationPolicies,
    status: pick(statuses, wire.status, 'status'),
    clusterId: wire.clusterId || defaultClusterId,
    locality: {
      region: wire.locality?.region ?? '',
      zone: wire.locality?.zone ?? '',
      subzone: wire.locality?.subzone ?? '',
    },
    networkMode: pick(networkModes, wire.networkMode, 'network mode'),
    capacity: wire.capacity ?? 1,
  };
}

/** Checks a service as received. Throws, naming the field, when a value has no meaning here. */
export function decodeService(wire: WireService): Service {
  const vips: { network: string; ip: string }[] = [];
  const cidrVips: { network: string; ip: string; length: number }[] = [];
  for (const { network, address, length } of wire.addresses) {
    const ip = decodeIp(address);
    if (length === undefined || length === address.length * 8) vips.push({ network, ip });
    else if (length > address.length * 8) throw new Error(`address ${ip}/${length} is not a range`);
    else cidrVips.push({ network, ip, length });
  }
  const balancing = wire.loadBalancing;
  return {
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    vips,
    cidrVips,
    ports: decodePorts(wire.ports),
    subjectAltNames: wire.subjectAltNames,
    waypoint: decodeGateway(wire.waypoint),
    weightedWaypoints: wire.weightedWaypoints.map(({ destination, weight }) => {
      const gateway = decodeGateway(destination);
      if (gateway === undefined) throw new Error('weighted waypoint without destination');
      return { destination: gateway, weight };
    }),
    loadBalancer:
      balancing === undefined
        ? undefined
        : {
            routingPreferences: balancing.routingPreference.map((s) => pick(scopes, s, 'routing preference')),
            mode: pick(modes, balancing.mode, 'load balancing mode'),
            healthPolicy: pick(healthPolicies, balancing.healthPolicy, 'health policy'),
          },
    ipFamilies: pick(families, wire.ipFamilies, 'IP families'),
    canonical: wire.canonical,
    // An unknown visibility is read as public, as upstream does: the field was added later.
    visibility: wire.visibility === Service_Visibility.NAMESPACE ? 'Namespace' : 'Public',
  };
}

const protocols: Readonly<Record<number, 'HBONE' | 'TCP'>> = {
  [TunnelProtocol.NONE]: 'TCP',
  [TunnelProtocol.HBONE]: 'HBONE',
};
const workloadTypes: Readonly<Record<number, WorkloadType>> = {
  [WireWorkloadType.DEPLOYMENT]: 'deployment',
  [WireWorkloadType.CRONJOB]: 'cronjob',
  [WireWorkloadType.POD]: 'pod',
  [WireWorkloadType.JOB]: 'job',
};
const tunnelProtocols: Readonly<Record<number, 'NONE' | 'PROXY'>> = {
  [ApplicationTunnel_Protocol.NONE]: 'NONE',
  [ApplicationTunnel_Protocol.PROXY]: 'PROXY',
};
const statuses: Readonly<Record<number, HealthStatus>> = {
  [WorkloadStatus.HEALTHY]: 'Healthy',
  [WorkloadStatus.UNHEALTHY]: 'Unhealthy',
};
const networkModes: Readonly<Record<number, 'Standard' | 'HostNetwork'>> = {
  [NetworkMode.STANDARD]: 'Standard',
  [NetworkMode.HOST_NETWORK]: 'HostNetwork',
};
const scopes: Readonly<Record<number, Scope>> = {
  [LoadBalancing_Scope.REGION]: 'Region',
  [LoadBalancing_Scope.ZONE]: 'Zone',
  [LoadBalancing_Scope.SUBZONE]: 'Subzone',
  [LoadBalancing_Scope.NODE]: 'Node',
  [LoadBalancing_Scope.CLUSTER]: 'Cluster',
  [LoadBalancing_Scope.NETWORK]: 'Network',
};
const modes: Readonly<Record<number, 'Standard' | 'Strict' | 'Failover' | 'Passthrough'>> = {
  [LoadBalancing_Mode.UNSPECIFIED_MODE]: 'Standard',
  [LoadBalancing_Mode.STRICT]: 'Strict',
  [LoadBalancing_Mode.FAILOVER]: 'Failover',
  [LoadBalancing_Mode.PASSTHROUGH]: 'Passthrough',
};
const healthPolicies: Readonly<Record<number, 'OnlyHealthy' | 'AllowAll'>> = {
  [LoadBalancing_HealthPolicy.ONLY_HEALTHY]: 'OnlyHealthy',
  [LoadBalancing_HealthPolicy.ALLOW_ALL]: 'AllowAll',
};
const families: Readonly<Record<number, 'IPv4' | 'IPv6' | 'Dual' | undefined>> = {
  [IPFamilies.AUTOMATIC]: undefined,
  [IPFamilies.IPV4_ONLY]: 'IPv4',
  [IPFamilies.IPV6_ONLY]: 'IPv6',
  [IPFamilies.DUAL]: 'Dual',
};

function pick<T>(table: Readonly<Record<number, T>>, value: number, field: string): T {
  if (!(value in table)) throw new Error(`${field} ${value} is unknown`);
  // Presence was checked; undefined is a legal member of some tables.
  return table[value] as T;
}

function decodeIp(bytes: Uint8Array): string {
  const ip = bytesToIp(bytes);
  if (ip === undefined) throw new Error(`an address of ${bytes.length} bytes is neither IPv4 nor IPv6`);
  return ip;
}

function decodePorts(ports: readonly Port[]): PortMap {
  return new Map(ports.map((port) => [port.servicePort, port.targetPort]));
}

function decodeGateway(wire: GatewayAddress | undefined): GatewayRef | undefined {
  if (wire === undefined) return undefined;
  const { destination, hboneMtlsPort } = wire;
  switch (destination.case) {
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      return { destination: { kind: 'hostname', namespace, hostname }, hboneMtlsPort };
    }
    case 'address': {
      const ip = decodeIp(destination.value.address);
      return { destination: { kind: 'address', network: destination.value.network, ip }, hboneMtlsPort };
    }
    default:
      throw new Error('gateway address without destination');
  }
}
