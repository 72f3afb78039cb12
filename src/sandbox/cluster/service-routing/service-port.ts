import { createHash } from 'node:crypto';
import type { EndpointSlice, Service } from '../../../kube/types.js';

/** The node whose rules are rendered. Without a name (the root namespace) no endpoint is local. */
export interface RoutingNode {
  readonly name: string | undefined;
  /** Addresses pods use; traffic from elsewhere to a cluster IP is masqueraded. */
  readonly podNetwork: string;
}

/** An endpoint packets can be sent to. */
export interface Backend {
  readonly ip: string;
  readonly port: number;
  readonly isLocal: boolean;
}

/** One port of one service with everything the rules need. IPv4 only. */
export interface ServicePortRoute {
  /** `namespace/name:port`, as in comments. */
  readonly label: string;
  readonly chain: string;
  readonly localChain: string;
  readonly externalChain: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly clusterIp: string;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly externalIps: readonly string[];
  readonly affinitySeconds: number | undefined;
  readonly isInternalLocal: boolean;
  readonly isExternalLocal: boolean;
  /** Usable endpoints anywhere. */
  readonly backends: readonly Backend[];
  /** Usable endpoints on this node. */
  readonly localBackends: readonly Backend[];
}

const affinityDefaultSeconds = 10_800;

/** Every routable port of the services, in a stable order. Headless and ExternalName services have none. */
export function serviceRoutes(o: {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly node: RoutingNode;
}): ServicePortRoute[] {
  const slicesByService = new Map<string, EndpointSlice[]>();
  for (const slice of o.slices) {
    const name = slice.metadata.labels?.['kubernetes.io/service-name'];
    if (name === undefined || slice.addressType !== 'IPv4') continue;
    const key = `${slice.metadata.namespace ?? ''}/${name}`;
    const list = slicesByService.get(key);
    if (list === undefined) slicesByService.set(key, [slice]);
    else list.push(slice);
  }
  const routes: ServicePortRoute[] = [];
  for (const service of o.services) {
    const clusterIp = clusterIpv4(service);
    if (clusterIp === undefined) continue;
    const key = `${service.metadata.namespace ?? ''}/${service.metadata.name}`;
    for (const port of service.spec.ports ?? []) {
      routes.push(
        routeOf({ service, port, key, clusterIp, slices: slicesByService.get(key) ?? [], node: o.node }),
      );
    }
  }
  return routes.toSorted((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
}

function routeOf(o: {
  readonly service: Service;
  readonly port: NonNullable<Service['spec']['ports']>[number];
  readonly key: string;
  readonly clusterIp: string;
  readonly slices: readonly EndpointSlice[];
  readonly node: RoutingNode;
}): ServicePortRoute {
  const { spec, status } = o.service;
  const label = o.port.name === undefined || o.port.name === '' ? o.key : `${o.key}:${o.port.name}`;
  const protocol = (o.port.protocol ?? 'TCP').toLowerCase() as ServicePortRoute['protocol'];
  const id = chainId(`${label}${protocol}`);
  const { all, local } = backendsOf(o.slices, { portName: o.port.name ?? '', node: o.node.name });
  const isExposed = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const loadBalancerIps = (status?.loadBalancer?.ingress ?? []).flatMap((each) =>
    each.ip === undefined || each.ip.includes(':') ? [] : [each.ip],
  );
  return {
    label,
    chain: `KUBE-SVC-${id}`,
    localChain: `KUBE-SVL-${id}`,
    externalChain: `KUBE-EXT-${id}`,
    protocol,
    clusterIp: o.clusterIp,
    port: o.port.port,
    nodePort: isExposed && o.port.nodePort !== undefined && o.port.nodePort > 0 ? o.port.nodePort : undefined,
    externalIps: [
      ...(spec.externalIPs ?? []).filter((ip) => !ip.includes(':')),
      ...(spec.type === 'LoadBalancer' ? loadBalancerIps : []),
    ],
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

/** Ready endpoints; when there are none, those still serving while they terminate. */
function backendsOf(
  slices: readonly EndpointSlice[],
  o: { readonly portName: string; readonly node: string | undefined },
): { readonly all: Backend[]; readonly local: Backend[] } {
  const ready = new Map<string, Backend>();
  const draining = new Map<string, Backend>();
  for (const slice of slices) {
    for (const port of slice.ports ?? []) {
      if ((port.name ?? '') !== o.portName || port.port === undefined) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const ip = endpoint.addresses[0];
        if (ip === undefined) continue;
        const backend = {
          ip,
          port: port.port,
          isLocal: o.node !== undefined && endpoint.nodeName === o.node,
        };
        const { conditions } = endpoint;
        if (conditions?.ready !== false) ready.set(`${ip}:${port.port}`, backend);
        else if (conditions.serving === true && conditions.terminating === true) {
          draining.set(`${ip}:${port.port}`, backend);
        }
      }
    }
  }
  const usable = (filter: (backend: Backend) => boolean): Backend[] => {
    const first = [...ready.values()].filter(filter);
    const chosen = first.length > 0 ? first : [...draining.values()].filter(filter);
    return chosen.toSorted((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : a.port - b.port));
  };
  return { all: usable(() => true), local: usable((backend) => backend.isLocal) };
}

function clusterIpv4(service: Service): string | undefined {
  if (service.spec.type === 'ExternalName') return undefined;
  const all = service.spec.clusterIPs ?? [service.spec.clusterIP ?? ''];
  return all.find((ip) => ip !== '' && ip !== 'None' && !ip.includes(':'));
}

/** Chain of one endpoint of a route. */
export function endpointChain(route: ServicePortRoute, backend: Backend): string {
  return `KUBE-SEP-${chainId(`${route.label}${route.protocol}${backend.ip}:${backend.port}`)}`;
}

/** Sixteen base32 characters of a hash, the form upstream's chain names have. */
function chainId(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const digest = createHash('sha256').update(text).digest();
  let id = '';
  let bits = 0;
  let value = 0;
  for (const byte of digest) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5 && id.length < 16) {
      bits -= 5;
      id += alphabet[(value >> bits) & 31] ?? '';
    }
    value &= 0xff;
  }
  return id;
}
