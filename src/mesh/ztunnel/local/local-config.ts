import { readFile } from 'node:fs/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { ipToBytes } from '#base/net/address.js';
import type { L4PolicyStore } from '../../policy/l4/l4-policy-store.js';
import { decodeService, decodeWorkload } from '../../view/decode.js';
import type { MeshView } from '../../view/mesh-view.js';
import {
  ApplicationTunnel_Protocol,
  type GatewayAddressSchema,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  type NetworkAddressSchema,
  NetworkMode,
  ServiceSchema,
  Service_Visibility,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
} from '../../xds/gen/istio/workload_pb.js';
import { readLocalPolicy } from './local-policy.js';
import { readCidr, wordValue, YamlFields } from './yaml-fields.js';

/**
 * Loads workloads, services and policies from a YAML file with the key names of the state dump (LOCAL_XDS_PATH), as if
 * a control plane had sent them. Rejects with MESH0503 naming the entry that cannot be read, including keys nobody
 * knows.
 */
export async function loadLocalConfig(options: {
  path: string;
  view: MeshView;
  policies: L4PolicyStore;
}): Promise<void> {
  const { path, view, policies } = options;
  try {
    const root = new YamlFields(parse(await readFile(path, 'utf8')) as unknown, 'file');
    root.only(['workloads', 'services', 'policies']);
    for (const item of root.list('services')) view.putService(decodeService(readService(item)));
    for (const item of root.list('workloads')) view.putWorkload(decodeWorkload(readWorkload(item)));
    for (const item of root.list('policies')) policies.put(readLocalPolicy(item));
  } catch (error) {
    throw new MeshError('MESH0503', `LOCAL_XDS_PATH ${path}: ${messageOf(error)}`, { cause: error });
  }
}

const workloadKeys = [
  'workloadIps',
  'waypoint',
  'networkGateway',
  'protocol',
  'networkMode',
  'uid',
  'name',
  'namespace',
  'trustDomain',
  'serviceAccount',
  'network',
  'workloadName',
  'workloadType',
  'canonicalName',
  'canonicalRevision',
  'node',
  'nativeTunnel',
  'authorizationPolicies',
  'status',
  'clusterId',
  'locality',
  'services',
  'capacity',
  'hostname',
  'applicationTunnel',
];

function readWorkload(r: YamlFields) {
  r.only(workloadKeys);
  const namespace = r.text('namespace');
  const services = r.child('services');
  const locality = r.child('locality');
  const tunnel = r.child('applicationTunnel');
  const [waypoint, networkGateway] = [r.child('waypoint'), r.child('networkGateway')];
  return create(WorkloadSchema, {
    uid: r.text('uid') || `Kubernetes//Pod/${namespace}/${r.text('name')}`,
    name: r.text('name'),
    namespace,
    addresses: r.texts('workloadIps').map(readIp),
    hostname: r.text('hostname'),
    network: r.text('network'),
    tunnelProtocol: r.word(
      'protocol',
      { HBONE: TunnelProtocol.HBONE, TCP: TunnelProtocol.NONE },
      TunnelProtocol.NONE,
    ),
    trustDomain: r.text('trustDomain'),
    serviceAccount: r.text('serviceAccount'),
    ...(waypoint && { waypoint: readGateway(waypoint) }),
    ...(networkGateway && { networkGateway: readGateway(networkGateway) }),
    node: r.text('node'),
    canonicalName: r.text('canonicalName'),
    canonicalRevision: r.text('canonicalRevision'),
    workloadType: r.word(
      'workloadType',
      {
        deployment: WorkloadType.DEPLOYMENT,
        cronjob: WorkloadType.CRONJOB,
        pod: WorkloadType.POD,
        job: WorkloadType.JOB,
      },
      WorkloadType.DEPLOYMENT,
    ),
    workloadName: r.text('workloadName'),
    nativeTunnel: r.flag('nativeTunnel'),
    ...(tunnel && {
      applicationTunnel: {
        protocol: tunnel.word(
          'protocol',
          { NONE: ApplicationTunnel_Protocol.NONE, PROXY: ApplicationTunnel_Protocol.PROXY },
          ApplicationTunnel_Protocol.NONE,
        ),
        port: tunnel.number('port', 0),
      },
    }),
    services: Object.fromEntries(
      services?.keys().map((key) => [key, { ports: services.child(key)?.ports() ?? [] }]) ?? [],
    ),
    authorizationPolicies: r.texts('authorizationPolicies'),
    status: r.word(
      'status',
      { Healthy: WorkloadStatus.HEALTHY, Unhealthy: WorkloadStatus.UNHEALTHY },
      WorkloadStatus.HEALTHY,
    ),
    clusterId: r.text('clusterId'),
    locality: {
      region: locality?.text('region') ?? '',
      zone: locality?.text('zone') ?? '',
      subzone: locality?.text('subzone') ?? '',
    },
    networkMode: r.word(
      'networkMode',
      { Standard: NetworkMode.STANDARD, HostNetwork: NetworkMode.HOST_NETWORK },
      NetworkMode.STANDARD,
    ),
    capacity: r.number('capacity', 1),
  });
}

const serviceKeys = [
  'name',
  'namespace',
  'hostname',
  'vips',
  'cidrVips',
  'ports',
  'endpoints',
  'subjectAltNames',
  'waypoint',
  'weightedWaypoints',
  'loadBalancer',
  'ipFamilies',
  'canonical',
  'visibility',
];

function readService(r: YamlFields) {
  r.only(serviceKeys);
  const [balancing, waypoint] = [r.child('loadBalancer'), r.child('waypoint')];
  return create(ServiceSchema, {
    name: r.text('name'),
    namespace: r.text('namespace'),
    hostname: r.text('hostname'),
    addresses: [...r.texts('vips').map(readNetworkAddress), ...r.list('cidrVips').map(readNetworkCidr)],
    ports: r.child('ports')?.ports() ?? [],
    subjectAltNames: r.texts('subjectAltNames'),
    ...(waypoint && { waypoint: readGateway(waypoint) }),
    weightedWaypoints: r.list('weightedWaypoints').map((w) => {
      const destination = w.child('destination');
      if (destination === undefined) throw new Error('weightedWaypoints entry without destination');
      return { destination: readGateway(destination), weight: w.number('weight', 0) };
    }),
    ...(balancing && { loadBalancing: readBalancing(balancing) }),
    ipFamilies: r.word(
      'ipFamilies',
      { IPv4: IPFamilies.IPV4_ONLY, IPv6: IPFamilies.IPV6_ONLY, Dual: IPFamilies.DUAL },
      IPFamilies.AUTOMATIC,
    ),
    canonical: r.flag('canonical'),
    visibility: r.word(
      'visibility',
      { Public: Service_Visibility.PUBLIC, Namespace: Service_Visibility.NAMESPACE },
      Service_Visibility.PUBLIC,
    ),
  });
}

const scopeWords = {
  Region: LoadBalancing_Scope.REGION,
  Zone: LoadBalancing_Scope.ZONE,
  Subzone: LoadBalancing_Scope.SUBZONE,
  Node: LoadBalancing_Scope.NODE,
  Cluster: LoadBalancing_Scope.CLUSTER,
  Network: LoadBalancing_Scope.NETWORK,
};

function readBalancing(r: YamlFields) {
  return {
    routingPreference: r
      .texts('routingPreferences')
      .map((word) => wordValue(word, scopeWords, 'routingPreferences')),
    mode: r.word(
      'mode',
      {
        Standard: LoadBalancing_Mode.UNSPECIFIED_MODE,
        Strict: LoadBalancing_Mode.STRICT,
        Failover: LoadBalancing_Mode.FAILOVER,
        Passthrough: LoadBalancing_Mode.PASSTHROUGH,
      },
      LoadBalancing_Mode.UNSPECIFIED_MODE,
    ),
    healthPolicy: r.word(
      'healthPolicy',
      {
        OnlyHealthy: LoadBalancing_HealthPolicy.ONLY_HEALTHY,
        AllowAll: LoadBalancing_HealthPolicy.ALLOW_ALL,
      },
      LoadBalancing_HealthPolicy.ONLY_HEALTHY,
    ),
  };
}

function readGateway(r: YamlFields): MessageInitShape<typeof GatewayAddressSchema> {
  r.only(['destination', 'hboneMtlsPort']);
  const text = r.text('destination');
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  const hboneMtlsPort = r.number('hboneMtlsPort', 15008);
  const address = ipToBytes(rest);
  return address === undefined
    ? { destination: { case: 'hostname', value: { namespace: first, hostname: rest } }, hboneMtlsPort }
    : { destination: { case: 'address', value: { network: first, address } }, hboneMtlsPort };
}

function readNetworkAddress(text: string): MessageInitShape<typeof NetworkAddressSchema> {
  const slash = text.indexOf('/');
  return { network: text.slice(0, Math.max(slash, 0)), address: readIp(text.slice(slash + 1)) };
}

function readNetworkCidr(r: YamlFields): MessageInitShape<typeof NetworkAddressSchema> {
  const { address, length } = readCidr(r.text('cidr'));
  return { network: r.text('network'), address, length };
}

function readIp(text: string): Uint8Array {
  const bytes = ipToBytes(text);
  if (bytes === undefined) throw new Error(`${text} is not an IP address`);
  return bytes;
}
