import { create } from '@bufbuild/protobuf';
import { ipToBytes } from '#base/net/address.js';
import { terminatingExtension } from '../../xds/extensions.js';
import {
  AddressSchema,
  ExtensionSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  PortSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
  type Extension,
  type Locality,
  type Port,
  type PortList,
  type Workload,
} from '../../xds/gen/istio/workload_pb.js';
import { decodeResource, encodeResource, type WireResource } from '../../xds/server/resource.js';
import { addressType } from '../../xds/type-urls.js';
import { defaultTrustDomain } from '../../identity/spiffe.js';
import { appProtocolOf } from '../../rules/app-protocol.js';
import type { NodeFacts, PodFacts, ServiceFacts, SliceFacts } from '../../rules/facts.js';
import { serviceKey } from '../../rules/service-name.js';
import type { WaypointBinding } from '../../rules/waypoint-binding.js';
import { canonicalNameOf, canonicalRevisionOf } from '../../rules/workload-name.js';

/** What workloads read of a Service: they are not touched when something else of it changes. */
export type ServicePorts = Pick<ServiceFacts, 'namespace' | 'name' | 'selector' | 'ports'>;

/** A workload as the mesh sees it. A mesh has tens of thousands: nothing is kept but what is sent. */
export class MeshWorkload {
  readonly wire: WireResource;

  constructor(wire: WireResource) {
    this.wire = wire;
  }

  get uid(): string {
    return this.wire.name;
  }

  /** Keys of the services it is an endpoint of. */
  get services(): readonly string[] {
    return this.wire.groups;
  }

  get message(): Workload {
    const { type } = decodeResource(AddressSchema, this.wire);
    if (type.case !== 'workload') throw new Error(`${this.uid} is encoded as a ${type.case}`);
    return type.value;
  }
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
  readonly services: readonly ServicePorts[];
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
  // Joined, not put together: the parts of a text that is put together stay with it.
  return [clusterId, '', 'Pod', pod.namespace, pod.name].join('/');
}

/** Builds a pod's workload. */
export function podWorkload(pod: PodFacts, context: PodContext): MeshWorkload {
  const message = create(WorkloadSchema, {
    uid: podUid(context.clusterId, pod),
    name: pod.name,
    namespace: pod.namespace,
    addresses: pod.ips.flatMap((ip) => ipToBytes(ip) ?? []),
    network: context.network,
    ...runtimeOf(pod, context.node),
    // The default is left out: node proxies fill it in.
    trustDomain: context.trustDomain === defaultTrustDomain ? '' : context.trustDomain,
    workloadType: WorkloadType.POD,
    services: portMaps(context.services, context.clusterDomain, (port) => podTargetPort(port, pod)),
    authorizationPolicies: [...context.policies],
    ...healthOf(pod),
    clusterId: context.clusterId,
    networkMode: pod.isHostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    ...(context.binding.kind === 'bound' ? { waypoint: context.binding.address } : {}),
  });
  return finish(message, pod.ips);
}

/** What an endpoint of a slice depends on beyond the slice. */
export interface SliceContext extends WorkloadSettings {
  readonly service: ServicePorts;
  /** The pod that has an address for its own. */
  readonly podAt: (ip: string) => PodFacts | undefined;
  readonly nodeOf: (pod: PodFacts) => NodeFacts | undefined;
  /** Whether a pod is an endpoint of the Service anyway. */
  readonly isSelected: (pod: PodFacts) => boolean;
}

/**
 * Builds the workloads of a slice: one for each address, with the slice's ports and health. An address of a pod is
 * reached as the pod is, with the identity of the pod.
 */
export function endpointWorkloads(slice: SliceFacts, context: SliceContext): MeshWorkload[] {
  const workloads = new Map<string, MeshWorkload>();
  for (const endpoint of slice.endpoints) {
    for (const ip of endpoint.addresses) {
      const pod = context.podAt(ip);
      const address = ipToBytes(ip);
      if (address === undefined || (pod !== undefined && context.isSelected(pod))) continue;
      const message = create(WorkloadSchema, {
        uid: `${context.clusterId}/discovery.k8s.io/EndpointSlice/${slice.namespace}/${slice.name}/${ip}`,
        // No pod can have this name: proxies look up their own workload by name.
        name: `${slice.name}/${ip}`,
        namespace: pod?.namespace ?? slice.namespace,
        addresses: [address],
        network: context.network,
        ...(pod === undefined ? {} : runtimeOf(pod, context.nodeOf(pod))),
        trustDomain: context.trustDomain === defaultTrustDomain ? '' : context.trustDomain,
        workloadType: WorkloadType.POD,
        services: portMaps([context.service], context.clusterDomain, (port) => slice.ports[port.name ?? '']),
        ...healthOf(endpoint),
        clusterId: context.clusterId,
        // Such an address may be shared with others; it must not be taken for a workload's own.
        networkMode: NetworkMode.HOST_NETWORK,
      });
      workloads.set(message.uid, finish(message, []));
    }
  }
  return [...workloads.values()];
}

/** How a pod is reached, who it is and where it runs. */
function runtimeOf(pod: PodFacts, node: NodeFacts | undefined) {
  const speaksHbone = (pod.labels[tunnelLabel] ?? '').split(',').includes('http');
  return {
    tunnelProtocol: pod.isCaptured || speaksHbone ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    nativeTunnel: !pod.isCaptured && speaksHbone,
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    canonicalName: canonicalNameOf(pod.labels, pod.workloadName),
    canonicalRevision: canonicalRevisionOf(pod.labels),
    workloadName: pod.workloadName,
    ...localityOf(node),
  };
}

function localityOf(node: NodeFacts | undefined): { locality?: Locality } {
  if (node === undefined || (node.region === '' && node.zone === '' && node.subzone === '')) return {};
  return {
    locality: create(LocalitySchema, { region: node.region, zone: node.zone, subzone: node.subzone }),
  };
}

/** Proxies that do not know the extension take what is terminating for unhealthy, and no more. */
function healthOf(facts: { readonly isReady: boolean; readonly isTerminating: boolean }): {
  status: WorkloadStatus;
  extensions?: Extension[];
} {
  if (facts.isReady) return { status: WorkloadStatus.HEALTHY };
  if (!facts.isTerminating) return { status: WorkloadStatus.UNHEALTHY };
  return {
    status: WorkloadStatus.UNHEALTHY,
    extensions: [create(ExtensionSchema, { name: terminatingExtension })],
  };
}

type ServicePort = ServiceFacts['ports'][number];

/** Port maps by service, with sorted keys: replicas must serialize alike. */
function portMaps(
  services: readonly ServicePorts[],
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
  const wire = encodeResource({
    name: message.uid,
    typeUrl: addressType,
    schema: AddressSchema,
    message: create(AddressSchema, { type: { case: 'workload', value: message } }),
    aliases: ips.map((ip) => [message.network, ip].join('/')),
    groups: Object.keys(message.services),
    isVersioned: true,
  });
  return new MeshWorkload(wire);
}
