import { ipFamilyOf } from '#base/net/address.js';
import type { MeshState } from '../state/mesh-state.js';
import { type Endpoint, type Scope, type Service, serviceKey, type Workload } from '../state/model.js';

/** A chosen backend. */
export interface Upstream {
  readonly workload: Workload;
  /** IP of the workload; undefined when it is only reachable through its network gateway or by name. */
  readonly ip: string | undefined;
  /** Port of the application. */
  readonly port: number;
  readonly service: Service | undefined;
}

export interface SelectOptions {
  readonly service: Service;
  readonly servicePort: number;
  /** Who calls; decides locality preferences. */
  readonly source: Workload;
  /** The address that was dialled; its family is kept where possible. */
  readonly dialledIp: string | undefined;
  /** In [0, 1). */
  readonly random: () => number;
  /** Waypoints: the port need not exist on the service when the endpoint has an application tunnel. */
  readonly isWaypoint?: boolean;
}

/** Picks an endpoint of a service: candidates, locality preferences, weight. Undefined when there is none. */
export function selectEndpoint(state: MeshState, options: SelectOptions): Upstream | undefined {
  const { service, servicePort, source } = options;
  const candidates: { workload: Workload; port: number }[] = [];
  for (const endpoint of state.endpoints(service)) {
    const workload = state.workload(endpoint.workloadUid);
    if (workload === undefined || !isReachable(workload, source)) continue;
    const port = targetPort({
      endpoint,
      service,
      servicePort,
      workload,
      isWaypoint: options.isWaypoint ?? false,
    });
    if (port !== undefined) candidates.push({ workload, port });
  }
  const preferred = byPreference(candidates, service, source);
  const chosen = weighted(preferred, (c) => c.workload.capacity, options.random);
  if (chosen === undefined) return undefined;
  const ip = chooseIp(chosen.workload, service, options.dialledIp);
  if (ip === undefined && chosen.workload.network === source.network) return undefined;
  return { workload: chosen.workload, ip, port: chosen.port, service };
}

/** Picks one of several by weight; zero weights are never picked. */
export function weighted<T>(
  items: readonly T[],
  weight: (item: T) => number,
  random: () => number,
): T | undefined {
  const total = items.reduce((sum, item) => sum + weight(item), 0);
  if (total <= 0) return undefined;
  let left = random() * total;
  for (const item of items) {
    left -= weight(item);
    if (left < 0) return item;
  }
  return items.at(-1);
}

/** The address to use of a workload with several: the dialled one, else the dialled family, else any the service allows. */
export function chooseIp(
  workload: Workload,
  service: Service | undefined,
  dialledIp: string | undefined,
): string | undefined {
  if (dialledIp !== undefined && workload.addresses.includes(dialledIp)) return dialledIp;
  const families = service?.ipFamilies;
  const allowed = workload.addresses.filter((ip) => {
    return families === 'IPv4' || families === 'IPv6' ? ipFamilyOf(ip) === families : true;
  });
  if (dialledIp === undefined) return allowed[0];
  return allowed.find((ip) => ipFamilyOf(ip) === ipFamilyOf(dialledIp)) ?? allowed[0];
}

function isReachable(workload: Workload, source: Workload): boolean {
  if (workload.addresses.length > 0) return true;
  return workload.network !== source.network && workload.networkGateway !== undefined;
}

function targetPort(o: {
  endpoint: Endpoint;
  service: Service;
  servicePort: number;
  workload: Workload;
  isWaypoint: boolean;
}): number | undefined {
  const own = o.endpoint.ports.get(o.servicePort);
  if (own !== undefined && own > 0) return own;
  const shared = o.service.ports.get(o.servicePort);
  if (shared !== undefined && shared > 0) return shared;
  const tunnel = o.workload.applicationTunnel;
  if (tunnel !== undefined && (o.isWaypoint || tunnel.port > 0)) return o.servicePort;
  return undefined;
}

function byPreference<T extends { workload: Workload }>(
  candidates: readonly T[],
  service: Service,
  source: Workload,
): readonly T[] {
  const balancing = service.loadBalancer;
  const preferences = balancing?.routingPreferences ?? [];
  switch (balancing?.mode) {
    case 'Strict':
      return candidates.filter((c) => preferences.every((scope) => isSame(scope, source, c.workload)));
    case 'Failover': {
      const ranked = candidates.map((c) => ({ c, rank: rankOf(preferences, source, c.workload) }));
      const best = Math.max(...ranked.map((r) => r.rank));
      return ranked.filter((r) => r.rank === best).map((r) => r.c);
    }
    default:
      return candidates;
  }
}

/**
 * Leading preferences matched. A network named first outweighs everything after it, and missing it does not end the
 * comparison: inside the other network the nearest endpoint still wins.
 */
function rankOf(preferences: readonly Scope[], source: Workload, workload: Workload): number {
  let rank = 0;
  for (const [index, scope] of preferences.entries()) {
    const matches = isSame(scope, source, workload);
    if (index === 0 && scope === 'Network') {
      if (matches) rank += preferences.length;
    } else if (matches) rank++;
    else break;
  }
  return rank;
}

function isSame(scope: Scope, a: Workload, b: Workload): boolean {
  switch (scope) {
    case 'Region':
      return a.locality.region === b.locality.region;
    case 'Zone':
      return a.locality.zone === b.locality.zone;
    case 'Subzone':
      return a.locality.subzone === b.locality.subzone;
    case 'Node':
      return a.node === b.node;
    case 'Cluster':
      return a.clusterId === b.clusterId;
    case 'Network':
      return a.network === b.network;
  }
}

/** Whether a workload is an endpoint of a service, healthy or not. */
export function isEndpointOf(state: MeshState, service: Service, workload: Workload): boolean {
  return state.allEndpoints(serviceKey(service)).some((endpoint) => endpoint.workloadUid === workload.uid);
}
