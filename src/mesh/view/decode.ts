import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack, DurationSchema } from '@bufbuild/protobuf/wkt';
import { bytesToIp } from '#base/net/address.js';
import { defaultTrustDomain, formatSpiffeId, isSpiffeId } from '../identity/spiffe.js';
import { affinityExtension, terminatingExtension } from '../xds/extensions.js';
import {
  AddressSchema,
  AppProtocol,
  ApplicationTunnel_Protocol,
  type GatewayAddress,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  NetworkMode,
  type Port,
  type Service,
  Service_Visibility,
  TunnelProtocol,
  type Workload,
  WorkloadStatus,
  WorkloadType as WireWorkloadType,
} from '../xds/gen/istio/workload_pb.js';
import type {
  DeclaredProtocol,
  GatewayRef,
  HealthStatus,
  KnownService,
  KnownServicePort,
  KnownWorkload,
  LoadBalancing,
  LocalityScope,
  WorkloadType,
} from './known.js';

/** Cluster a workload belongs to when the control plane names none. */
const defaultClusterId = 'Kubernetes';
const portMax = 65_535;
/** For client affinity whose length cannot be read: the default of Kubernetes. */
const affinityDefaultSeconds = 3 * 3600;

/** What an Address message says. */
export type DecodedAddress =
  | { readonly kind: 'workload'; readonly workload: KnownWorkload }
  | { readonly kind: 'service'; readonly service: KnownService };

/**
 * Decodes an Address message. What has no meaning at all is refused by throwing. A value that only a newer control
 * plane knows is not: a resource that is refused is unknown, and traffic to unknown addresses passes the mesh by. Such
 * a value gets the reading that lets the least happen (README: What a newer control plane says).
 */
export function decodeAddress(bytes: Uint8Array): DecodedAddress {
  const { type } = fromBinary(AddressSchema, bytes);
  switch (type.case) {
    case 'workload':
      return { kind: 'workload', workload: decodeWorkload(type.value) };
    case 'service':
      return { kind: 'service', service: decodeService(type.value) };
    default:
      throw new Error('address that is neither a workload nor a service');
  }
}

/** Checks a workload. Throws, naming the field, when it cannot be one. */
export function decodeWorkload(wire: Workload): KnownWorkload {
  if (wire.uid === '') throw new Error('workload without uid');
  const trustDomain = wire.trustDomain || defaultTrustDomain;
  const serviceAccount = wire.serviceAccount || 'default';
  const identity: string = formatSpiffeId({ trustDomain, namespace: wire.namespace, serviceAccount });
  if (!isSpiffeId(identity)) throw new Error(`workload cannot have the identity ${identity}`);
  const services = new Map<string, ReadonlyMap<number, number>>();
  for (const [key, list] of Object.entries(wire.services)) {
    if (!key.includes('/')) throw new Error(`service key ${JSON.stringify(key)} has no namespace`);
    services.set(key, new Map(decodePorts(list.ports).map(({ port, targetPort }) => [port, targetPort])));
  }
  const tunnel = wire.applicationTunnel;
  return {
    uid: wire.uid,
    name: wire.name,
    namespace: wire.namespace,
    addresses: wire.addresses.map(decodeIp),
    hostname: wire.hostname,
    network: wire.network,
    protocol: protocols[wire.tunnelProtocol] ?? 'Unknown',
    trustDomain,
    serviceAccount,
    identity,
    waypoint: decodeGateway(wire.waypoint),
    networkGateway: decodeGateway(wire.networkGateway),
    node: wire.node,
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    workloadType: workloadTypes[wire.workloadType] ?? 'deployment',
    workloadName: wire.workloadName,
    nativeTunnel: wire.nativeTunnel,
    applicationTunnel:
      tunnel === undefined
        ? undefined
        : { protocol: tunnelProtocols[tunnel.protocol] ?? 'Unknown', port: tunnel.port },
    services,
    authorizationPolicies: wire.authorizationPolicies,
    status: decodeStatus(wire),
    clusterId: wire.clusterId || defaultClusterId,
    locality: {
      region: wire.locality?.region ?? '',
      zone: wire.locality?.zone ?? '',
      subzone: wire.locality?.subzone ?? '',
    },
    networkMode: wire.networkMode === NetworkMode.HOST_NETWORK ? 'HostNetwork' : 'Standard',
    capacity: wire.capacity ?? 1,
  };
}

/** Checks a service. Throws, naming the field, when it cannot be one. */
export function decodeService(wire: Service): KnownService {
  if (wire.namespace === '' || wire.hostname === '') throw new Error('service without namespace or hostname');
  const vips: { network: string; ip: string }[] = [];
  const cidrVips: { network: string; cidr: { address: Uint8Array; length: number } }[] = [];
  for (const { network, address, length } of wire.addresses) {
    const ip = decodeIp(address);
    if (length === undefined || length === address.length * 8) vips.push({ network, ip });
    else if (length > address.length * 8) throw new Error(`address ${ip}/${length} is not a range`);
    else cidrVips.push({ network, cidr: { address, length } });
  }
  return {
    key: `${wire.namespace}/${wire.hostname}`,
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    vips,
    cidrVips,
    ports: new Map(decodePorts(wire.ports).map((port) => [port.port, port])),
    subjectAltNames: wire.subjectAltNames,
    waypoint: decodeGateway(wire.waypoint),
    weightedWaypoints: wire.weightedWaypoints.map(({ destination, weight }) => ({
      destination: decodeGateway(destination) ?? unknownGateway,
      weight,
    })),
    loadBalancer: decodeLoadBalancing(wire),
    affinitySeconds: decodeAffinity(wire),
    ipFamilies: families[wire.ipFamilies],
    canonical: wire.canonical,
    // As upstream: a service that were hidden by mistake would be passed by with its waypoint.
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
const declaredProtocols: Readonly<Record<number, DeclaredProtocol>> = {
  [AppProtocol.HTTP11]: 'HTTP11',
  [AppProtocol.HTTP2]: 'HTTP2',
  [AppProtocol.GRPC]: 'HTTP2',
  [AppProtocol.TCP]: 'TCP',
  [AppProtocol.TLS]: 'TLS',
};
const scopes: Readonly<Record<number, LocalityScope>> = {
  [LoadBalancing_Scope.REGION]: 'Region',
  [LoadBalancing_Scope.ZONE]: 'Zone',
  [LoadBalancing_Scope.SUBZONE]: 'Subzone',
  [LoadBalancing_Scope.NODE]: 'Node',
  [LoadBalancing_Scope.CLUSTER]: 'Cluster',
  [LoadBalancing_Scope.NETWORK]: 'Network',
};
const modes: Readonly<Record<number, LoadBalancing['mode']>> = {
  [LoadBalancing_Mode.STRICT]: 'Strict',
  [LoadBalancing_Mode.FAILOVER]: 'Failover',
  [LoadBalancing_Mode.PASSTHROUGH]: 'Passthrough',
};
const families: Readonly<Record<number, 'IPv4' | 'IPv6' | 'Dual'>> = {
  [IPFamilies.IPV4_ONLY]: 'IPv4',
  [IPFamilies.IPV6_ONLY]: 'IPv6',
  [IPFamilies.DUAL]: 'Dual',
};

function decodeStatus({ status, extensions }: Workload): HealthStatus {
  if (status === WorkloadStatus.HEALTHY) return 'Healthy';
  return extensions.some(({ name }) => name === terminatingExtension) ? 'Terminating' : 'Unhealthy';
}

function decodeLoadBalancing({ loadBalancing }: Service): LoadBalancing | undefined {
  if (loadBalancing === undefined) return undefined;
  return {
    routingPreferences: loadBalancing.routingPreference.map((scope) => scopes[scope] ?? 'Unknown'),
    mode: modes[loadBalancing.mode] ?? 'Standard',
    healthPolicy:
      loadBalancing.healthPolicy === LoadBalancing_HealthPolicy.ALLOW_ALL ? 'AllowAll' : 'OnlyHealthy',
  };
}

function decodeAffinity({ extensions }: Service): number | undefined {
  const extension = extensions.find(({ name }) => name === affinityExtension);
  if (extension === undefined) return undefined;
  const duration = extension.config && anyUnpack(extension.config, DurationSchema);
  return duration === undefined ? affinityDefaultSeconds : Number(duration.seconds);
}

function decodeIp(bytes: Uint8Array): string {
  const ip = bytesToIp(bytes);
  if (ip === undefined) throw new Error(`an address of ${bytes.length} bytes is neither IPv4 nor IPv6`);
  return ip;
}

/**
 * Ports, each number once. Control planes that list ports of all protocols name a number several times, without saying
 * which is TCP: a declared application protocol tells, else the first one counts.
 */
function decodePorts(wire: readonly Port[]): KnownServicePort[] {
  const ports = new Map<number, KnownServicePort>();
  for (const { servicePort: port, targetPort, appProtocol } of wire) {
    if (port < 1 || port > portMax || targetPort > portMax) continue;
    const protocol = declaredProtocols[appProtocol] ?? 'Undeclared';
    const known = ports.get(port);
    if (known === undefined || (known.protocol === 'Undeclared' && protocol !== 'Undeclared'))
      ports.set(port, { port, targetPort, protocol });
  }
  return [...ports.values()];
}

const unknownGateway: GatewayRef = { destination: { kind: 'unknown' }, hboneMtlsPort: 0 };

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
      return unknownGateway;
  }
}
