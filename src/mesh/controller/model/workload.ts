import { create } from '@bufbuild/protobuf';
import { ipToBytes } from '#base/net/address.js';
import {
  AddressSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  PortSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
  type Port,
  type PortList,
  type Workload,
} from '../../xds/gen/istio/workload_pb.js';
import { encodeResource, type WireResource } from '../../xds/server/resource.js';
import { addressType } from '../../xds/type-urls.js';
import { defaultTrustDomain } from '../../identity/spiffe.js';
import { appProtocolOf } from './app-protocol.js';
import type { NodeFacts, PodFacts, ServiceFacts, SliceFacts } from '../../rules/facts.js';
import { serviceKey } from './service.js';
import type { WaypointBinding } from '../../rules/waypoint-binding.js';
import { canonicalNameOf, canonicalRevisionOf } from '../../rules/workload-name.js';

/** A workload as the mesh sees it. */
export interface MeshWorkload {
  readonly uid: string;
  /** Keys of the services it is an endpoint of. */
  readonly services: readonly string[];
  readonly message: Workload;
  readonly wire: WireResource;
}

/** Facts about the mesh that every workload carries. */
export interface WorkloadSettings {
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly network: string;
  readonly trustDomain: string;
}

/** What a pod's workload depends on beyond the pod. */
export interface PodContext extends WorkloadSettings {
  readonly services: readonly ServiceFacts[];
  readonly node: NodeFacts | undefined;
  readonly binding: WaypointBinding;
  /** Keys of the policies that select it, in the order they are sent. */
  readonly policies: readonly string[];
}

/** Label by which a workload says that it speaks HBONE itself. */
const tunnelLabel = 'networking.istio.io/tunnel';

/** Resource name of a pod's workload; the empty segment stands for the core API group. */
export function podUid(
  clusterId: string,
  pod: { readonly namespace: string; readonly name: string },
): string {
  return `${clusterId}//Pod/${pod.namespace}/${pod.name}`;
}

/** Builds a pod's workload. */
export function podWorkload(pod: PodFacts, context: PodContext): MeshWorkload {
  const speaksHbone = (pod.labels[tunnelLabel] ?? '').split(',').includes('http');
  const { node } = context;
  const hasLocality = node !== undefined && (node.region !== '' || node.zone !== '' || node.subzone !== '');
  const message = create(WorkloadSchema, {
    uid: podUid(context.clusterId, pod),
    name: pod.name,
    namespace: pod.namespace,
    addresses: pod.ips.flatMap((ip) => ipToBytes(ip) ?? []),
    network: context.network,
    tunnelProtocol: pod.isCaptured || speaksHbone ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    nativeTunnel: !pod.isCaptured && speaksHbone,
    // The default is left out: node proxies fill it in.
    trustDomain: context.trustDomain === defaultTrustDomain ? '' : context.trustDomain,
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    canonicalName: canonicalNameOf(pod.labels, pod.workloadName),
    canonicalRevision: canonicalRevisionOf(pod.labels),
    workloadType: WorkloadType.POD,
    workloadName: pod.workloadName,
    services: portMaps(context.services, context.clusterDomain, (port) => podTargetPort(port, pod)),
    authorizationPolicies: [...context.policies],
    status: pod.isReady ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: context.clusterId,
    networkMode: pod.isHostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    ...(context.binding.kind === 'bound' ? { waypoint: context.binding.address } : {}),
    ...(hasLocality
      ? { locality: create(LocalitySchema, { region: node.region, zone: node.zone, subzone: node.subzone }) }
      : {}),
  });
  return finish(message, pod.ips);
}

/** Builds the workloads of a slice's endpoints that are no pods. */
export function endpointWorkloads(
  slice: SliceFacts,
  context: WorkloadSettings & { readonly service: ServiceFacts },
): MeshWorkload[] {
  const ports: Record<string, number> = {};
  for (const port of slice.ports) {
    if (port.port !== undefined && (port.protocol ?? 'TCP') === 'TCP') ports[port.name ?? ''] = port.port;
  }
  return slice.endpoints
    .filter((endpoint) => endpoint.pod === undefined)
    .flatMap((endpoint) => endpoint.addresses.map((ip) => ({ ip, isReady: endpoint.isReady })))
    .flatMap(({ ip, isReady }) => {
      const address = ipToBytes(ip);
      if (address === undefined) return [];
      const message = create(WorkloadSchema, {
        uid: `${context.clusterId}/discovery.k8s.io/EndpointSlice/${slice.namespace}/${slice.name}/${ip}`,
        name: slice.name,
        namespace: slice.namespace,
        addresses: [address],
        network: context.network,
        trustDomain: context.trustDomain === defaultTrustDomain ? '' : context.trustDomain,
        workloadType: WorkloadType.POD,
        services: portMaps([context.service], context.clusterDomain, (port) => ports[port.name ?? '']),
        status: isReady ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
        clusterId: context.clusterId,
        // Such an address may be shared with others; it must not be taken for a workload's own.
        networkMode: NetworkMode.HOST_NETWORK,
      });
      return [finish(message, [])];
    });
}

type ServicePort = ServiceFacts['ports'][number];

/** Port maps by service, with sorted keys: replicas must serialize alike. */
function portMaps(
  services: readonly ServiceFacts[],
  clusterDomain: string,
  targetOf: (port: ServicePort) => number | undefined,
): Record<string, PortList> {
  const keyed = services
    .map((service) => ({ key: serviceKey(service.namespace, service.name, clusterDomain), service }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const maps: Record<string, PortList> = {};
  for (const { key, service } of keyed) {
    const ports: Port[] = [];
    for (const port of service.ports) {
      const targetPort = targetOf(port);
      if (targetPort === undefined) continue;
      ports.push(
        create(PortSchema, { servicePort: port.port, targetPort, appProtocol: appProtocolOf(port) }),
      );
    }
    maps[key] = create(PortListSchema, { ports });
  }
  return maps;
}

/** The container port behind a service port; undefined when the pod has no port of that name. */
function podTargetPort(port: ServicePort, pod: PodFacts): number | undefined {
  if (typeof port.targetPort === 'string') return pod.namedPorts[port.targetPort];
  return port.targetPort || port.port;
}

function finish(message: Workload, ips: readonly string[]): MeshWorkload {
  const services = Object.keys(message.services);
  const wire = encodeResource({
    name: message.uid,
    typeUrl: addressType,
    schema: AddressSchema,
    message: create(AddressSchema, { type: { case: 'workload', value: message } }),
    aliases: ips.map((ip) => `${message.network}/${ip}`),
    groups: services,
    isVersioned: true,
  });
  return { uid: message.uid, services, message, wire };
}
