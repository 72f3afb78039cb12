import type { MeshView } from '../mesh/mesh-view.js';
import type { LocalityScope, Service, ServicePort } from '../mesh/service.js';
import type { Workload } from '../mesh/workload.js';

/** One place a request can be sent to. */
export interface Endpoint {
  /** Pod address and port. */
  readonly ip: string;
  readonly port: number;
  /** Undefined for an address the mesh knows no workload of. */
  readonly workload: Workload | undefined;
}

/** Identifies an endpoint within this process. */
export function endpointKey({ ip, port }: Endpoint): string {
  return `${ip}|${port}`;
}

/** Where this proxy runs, for preferring near endpoints. */
export type Here = Pick<Workload, 'network' | 'clusterId' | 'locality' | 'node'>;

/**
 * Endpoints of a service port that may be used, the nearest group as the service's traffic
 * distribution asks. Empty: no healthy upstream.
 */
export function eligibleEndpoints(options: {
  readonly view: MeshView;
  readonly service: Service;
  readonly port: ServicePort;
  readonly requestedIp: string;
  readonly here: Here;
}): Endpoint[] {
  const { view, service, port, requestedIp, here } = options;
  const { mode, preference, allowsUnhealthy } = service.loadBalancing;
  if (mode === 'passthrough') {
    return [{ ip: requestedIp, port: port.port, workload: view.workloadByIp(here.network, requestedIp) }];
  }
  const usable: { endpoint: Endpoint; rank: number }[] = [];
  for (const workload of view.workloadsOf(service)) {
    // Another network is reached through its gateway, which this proxy cannot do yet.
    if (workload.network !== here.network || !(workload.isHealthy || allowsUnhealthy)) continue;
    const target = workload.services.get(service.key)?.get(port.port) || port.targetPort;
    const ip = workload.ips[0];
    if (ip === undefined || target === 0) continue;
    usable.push({ endpoint: { ip, port: target, workload }, rank: rankOf(workload, here, preference) });
  }
  if (preference.length === 0 || mode === 'any') return usable.map(({ endpoint }) => endpoint);
  const wanted =
    mode === 'strict' ? preference.length : usable.reduce((best, { rank }) => Math.max(best, rank), 0);
  return usable.filter(({ rank }) => rank === wanted).map(({ endpoint }) => endpoint);
}

/** How many leading scopes of the preference a workload shares with this proxy. */
function rankOf(workload: Workload, here: Here, preference: readonly LocalityScope[]): number {
  let rank = 0;
  for (const scope of preference) {
    if (!sharesScope(workload, here, scope)) break;
    rank++;
  }
  return rank;
}

function sharesScope(workload: Workload, here: Here, scope: LocalityScope): boolean {
  const a = workload.locality;
  const b = here.locality;
  const sameRegion = a.region === b.region;
  const sameZone = sameRegion && a.zone === b.zone;
  switch (scope) {
    case 'network':
      return workload.network === here.network;
    case 'cluster':
      return workload.clusterId === here.clusterId;
    case 'region':
      return sameRegion;
    case 'zone':
      return sameZone;
    case 'subzone':
      return sameZone && a.subzone === b.subzone;
    case 'node':
      return workload.node === here.node;
  }
}
