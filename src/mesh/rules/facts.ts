import { isIp } from '#base/net/address.js';
import * as labels from '#base/kube/labels.js';
import type { EndpointSlice, Node, Pod, Service, ServicePort } from '#base/kube/types.js';
import { workloadNameOf } from './workload-name.js';

type Labels = Readonly<Record<string, string>>;

/** What the mesh needs of a Pod; everything else (heartbeats, image names, ...) changes nothing here. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
  /** Pod addresses; none yet before it has its network. */
  readonly ips: readonly string[];
  readonly serviceAccount: string;
  readonly node: string;
  readonly isHostNetwork: boolean;
  /** Ready and not being deleted. */
  readonly isReady: boolean;
  /** Being deleted, but still ready to serve: the last resort of its services. */
  readonly isTerminating: boolean;
  /** The CNI agent captured the pod's traffic and the node proxy took it over. */
  readonly isCaptured: boolean;
  /** Owner's name as people know it: Deployment, CronJob, ... */
  readonly workloadName: string;
  /** TCP container ports by name. */
  readonly namedPorts: Readonly<Record<string, number>>;
}

/** Facts of a pod; undefined for one that is completed. */
export function podFacts(pod: Pod): PodFacts | undefined {
  const { metadata, spec, status } = pod;
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  const listed = (status?.podIPs ?? []).map(({ ip }) => ip);
  const ips = listed.length > 0 ? listed : status?.podIP === undefined ? [] : [status.podIP];
  const isReadyCondition =
    status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    labels: metadata.labels ?? {},
    ips: ips.every(isIp) ? ips : [],
    serviceAccount: spec.serviceAccountName ?? 'default',
    node: spec.nodeName ?? '',
    isHostNetwork: spec.hostNetwork === true,
    isReady: isReadyCondition && metadata.deletionTimestamp === undefined,
    isTerminating: isReadyCondition && metadata.deletionTimestamp !== undefined,
    isCaptured: metadata.annotations?.[labels.redirection] === 'enabled',
    workloadName: workloadNameOf(metadata),
    namedPorts: namedPortsOf(pod),
  };
}

function namedPortsOf(pod: Pod): Record<string, number> {
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  const named: Record<string, number> = {};
  // The first of a name counts, containers before sidecars, as for the cluster's own endpoints.
  for (const container of [...pod.spec.containers, ...sidecars].reverse()) {
    for (const port of container.ports ?? []) {
      if (port.name !== undefined && isTcp(port)) named[port.name] = port.containerPort;
    }
  }
  return named;
}

/** What the mesh needs of a Service. */
export interface ServiceFacts {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly clusterIps: readonly string[];
  /** Where a load balancer takes its traffic. */
  readonly externalAddresses: readonly { readonly type: 'IPAddress' | 'Hostname'; readonly value: string }[];
  readonly ipFamilies: readonly string[];
  /** TCP ports. Kubernetes routes pairs of port and protocol, and the mesh carries no other protocol. */
  readonly ports: readonly ServicePort[];
  /** Undefined when endpoints are managed by hand. */
  readonly selector: Labels | undefined;
  readonly isLocalOnly: boolean;
  readonly publishesUnready: boolean;
  /** Seconds without a call for which a client stays with its endpoint; undefined: calls are spread. */
  readonly affinitySeconds: number | undefined;
  /** From the spec, else the annotation. */
  readonly trafficDistribution: string | undefined;
}

/** Facts of a Service; undefined for ExternalName, which the mesh has no part in. */
export function serviceFacts(service: Service): ServiceFacts | undefined {
  const { metadata, spec, status } = service;
  if (spec.type === 'ExternalName') return undefined;
  const listed = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const selector = spec.selector;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    labels: metadata.labels ?? {},
    clusterIps: listed.filter(isIp),
    externalAddresses: (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => [
      ...(ip === undefined ? [] : [{ type: 'IPAddress' as const, value: ip }]),
      ...(hostname === undefined ? [] : [{ type: 'Hostname' as const, value: hostname }]),
    ]),
    ipFamilies: spec.ipFamilies ?? [],
    ports: (spec.ports ?? []).filter(isTcp),
    selector: selector === undefined || Object.keys(selector).length === 0 ? undefined : selector,
    isLocalOnly: spec.internalTrafficPolicy === 'Local',
    publishesUnready: spec.publishNotReadyAddresses === true,
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinityDefaultSeconds)
        : undefined,
    trafficDistribution: spec.trafficDistribution ?? metadata.annotations?.[trafficDistribution],
  };
}

/** What Kubernetes makes of a Service with client affinity that does not say for how long. */
const affinityDefaultSeconds = 3 * 3600;

/** Annotation of Services and Namespaces naming the traffic distribution. */
export const trafficDistribution = 'networking.istio.io/traffic-distribution';
const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
/** The cluster's own controller, which makes slices of the pods a selector selects. */
const selectorController = 'endpointslice-controller.k8s.io';

/** What the mesh needs of an EndpointSlice. */
export interface SliceFacts {
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  /** Made by the cluster of the pods a selector selects: while the Service has one, the pods say it all. */
  readonly isOfSelector: boolean;
  /** TCP ports by name; the empty name is that of an unnamed port. */
  readonly ports: Readonly<Record<string, number>>;
  readonly endpoints: readonly {
    /** What is behind it is found by address: a targetRef is information for people. */
    readonly addresses: readonly string[];
    readonly isReady: boolean;
    /** Not ready, but still serving while it terminates: the last resort. */
    readonly isTerminating: boolean;
  }[];
}

/** Facts of an EndpointSlice; undefined when it belongs to no Service or lists names instead of addresses. */
export function sliceFacts(slice: EndpointSlice): SliceFacts | undefined {
  const namespace = slice.metadata.namespace ?? '';
  const service = slice.metadata.labels?.[serviceNameLabel];
  if (service === undefined || slice.addressType === 'FQDN') return undefined;
  return {
    namespace,
    name: slice.metadata.name,
    service,
    isOfSelector: slice.metadata.labels?.[managedByLabel] === selectorController,
    ports: Object.fromEntries(
      (slice.ports ?? []).flatMap((port) =>
        isTcp(port) && port.port !== undefined ? [[port.name ?? '', port.port]] : [],
      ),
    ),
    endpoints: (slice.endpoints ?? []).map(({ addresses, conditions }) => {
      const isReady = conditions?.ready !== false;
      const isTerminating = !isReady && conditions?.terminating === true && conditions.serving !== false;
      return { addresses, isReady, isTerminating };
    }),
  };
}

function isTcp(port: { readonly protocol?: string }): boolean {
  return (port.protocol ?? 'TCP') === 'TCP';
}

/** Where a node is. */
export interface NodeFacts {
  readonly name: string;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** Locality of a Node from its topology labels; empty strings where it has none. */
export function nodeFacts(node: Node): NodeFacts {
  const of = (key: string) => node.metadata.labels?.[key] ?? '';
  return {
    name: node.metadata.name,
    region: of('topology.kubernetes.io/region'),
    zone: of('topology.kubernetes.io/zone'),
    subzone: of('topology.istio.io/subzone'),
  };
}
