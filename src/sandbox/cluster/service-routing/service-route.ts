import { createHash } from 'node:crypto';
import type { EndpointSlice, Service, ServicePort } from '#base/kube/types.js';
import { type IpFamily, familyOf } from '#base/net/address.js';
import { type Backend, backendsOf } from './backends.js';
import type { RoutingNode } from './routing-node.js';

/** One port of one service, for one IP family, with everything the rules need. */
export interface ServiceRoute {
  /** `namespace/name:port`, as in comments. */
  readonly label: string;
  /** `namespace/name` of the service. */
  readonly service: string;
  readonly chain: string;
  readonly localChain: string;
  readonly externalChain: string;
  readonly firewallChain: string;
  readonly protocol: 'tcp' | 'udp';
  readonly clusterIp: string;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly externalIps: readonly string[];
  readonly loadBalancerIps: readonly string[];
  /** Networks that may use the load balancer's addresses; undefined: everybody. */
  readonly sourceRanges: readonly string[] | undefined;
  readonly affinitySeconds: number | undefined;
  readonly isInternalLocal: boolean;
  readonly isExternalLocal: boolean;
  /** Usable endpoints anywhere, those of the node's zone if the endpoints' hints say so. */
  readonly backends: readonly Backend[];
  /** Usable endpoints on this node. */
  readonly localBackends: readonly Backend[];
}

const affinityDefaultSeconds = 10_800;
/** Services with one of these labels are left to another proxy, or to nobody. */
const unroutedLabels = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];

/** Whether a service's addresses are for this router to serve. */
export function isRoutedService(service: Service): boolean {
  return unroutedLabels.every((label) => service.metadata.labels?.[label] === undefined);
}

/** The slices of each service, by `namespace/name`. */
export function slicesByService(slices: readonly EndpointSlice[]): Map<string, EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const name = slice.metadata.labels?.['kubernetes.io/service-name'];
    if (name === undefined || slice.metadata.deletionTimestamp !== undefined) continue;
    const key = `${slice.metadata.namespace ?? ''}/${name}`;
    const list = groups.get(key);
    if (list === undefined) groups.set(key, [slice]);
    else list.push(slice);
  }
  return groups;
}

/**
 * Every routable port of the services for a family, in a stable order. Headless and
 * ExternalName services have none; SCTP is stored but not routed.
 */
export function serviceRoutes(o: {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly node: RoutingNode;
  readonly family: IpFamily;
}): ServiceRoute[] {
  const grouped = slicesByService(o.slices.filter((slice) => slice.addressType === o.family));
  const routes: ServiceRoute[] = [];
  for (const service of o.services) {
    const clusterIp = clusterIpOf(service, o.family);
    if (clusterIp === undefined) continue;
    const key = `${service.metadata.namespace ?? ''}/${service.metadata.name}`;
    const slices = grouped.get(key) ?? [];
    for (const port of service.spec.ports ?? []) {
      const protocol = (port.protocol ?? 'TCP').toLowerCase();
      if (protocol !== 'tcp' && protocol !== 'udp') continue;
      routes.push(
        routeOf({ service, port, protocol, key, clusterIp, slices, node: o.node, family: o.family }),
      );
    }
  }
  return routes.toSorted((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
}

function routeOf(o: {
  readonly service: Service;
  readonly port: ServicePort;
  readonly protocol: 'tcp' | 'udp';
  readonly key: string;
  readonly clusterIp: string;
  readonly slices: readonly EndpointSlice[];
  readonly node: RoutingNode;
  readonly family: IpFamily;
}): ServiceRoute {
  const { protocol, family } = o;
  const { spec, status } = o.service;
  const label = o.port.name === undefined || o.port.name === '' ? o.key : `${o.key}:${o.port.name}`;
  const id = chainId(`${label}${protocol}`);
  const { all, local } = backendsOf(o.slices, { portName: o.port.name ?? '', protocol, node: o.node });
  const isExposed = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const isOfFamily = (address: string): boolean => familyOf(address) === family;
  const ingress = spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : [];
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()).filter(isOfFamily);
  const isForAll = ranges.some((range) => range.endsWith('/0'));
  return {
    label,
    service: o.key,
    chain: `KUBE-SVC-${id}`,
    localChain: `KUBE-SVL-${id}`,
    externalChain: `KUBE-EXT-${id}`,
    firewallChain: `KUBE-FW-${id}`,
    protocol,
    clusterIp: o.clusterIp,
    port: o.port.port,
    nodePort: isExposed && o.port.nodePort !== undefined && o.port.nodePort > 0 ? o.port.nodePort : undefined,
    externalIps: (spec.externalIPs ?? []).filter(isOfFamily),
    // Mode Proxy: the load balancer wants to see the packets itself.
    loadBalancerIps: ingress.flatMap(({ ip, ipMode }) =>
      ip === undefined || ipMode === 'Proxy' || !isOfFamily(ip) ? [] : [ip],
    ),
    sourceRanges: ranges.length === 0 || isForAll ? undefined : ranges,
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinityDefaultSeconds)
        : undefined,
    isInternalLocal: spec.internalTrafficPolicy === 'Local',
    // The root namespace stands for the outside: it must reach every node's endpoints.
    isExternalLocal: isExposed && spec.externalTrafficPolicy === 'Local' && o.node.name !== undefined,
    backends: all,
    localBackends: local,
  };
}

/** The service's virtual address of a family. */
function clusterIpOf(service: Service, family: IpFamily): string | undefined {
  if (service.spec.type === 'ExternalName') return undefined;
  const all = service.spec.clusterIPs ?? [service.spec.clusterIP ?? ''];
  return all.find((ip) => ip !== '' && ip !== 'None' && familyOf(ip) === family);
}

/** Chain of one endpoint of a route. */
export function endpointChain(route: ServiceRoute, backend: Backend): string {
  return `KUBE-SEP-${chainId(`${route.label}${route.protocol}${backend.ip}:${backend.port}`)}`;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const chainIdLength = 16;

/** Sixteen base32 characters of a hash, the form upstream's chain names have. */
function chainId(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let id = '';
  // One character per byte: five of its bits.
  for (let i = 0; i < chainIdLength; i++) id += alphabet[(digest[i] ?? 0) & 31] ?? '';
  return id;
}
