import type { KnownWorkload, LoadBalancing, Locality, LocalityScope } from './known.js';

/** From where the mesh is looked at: what the preferences of a service compare with. */
export interface Viewpoint {
  readonly network: string;
  readonly clusterId: string;
  readonly node: string;
  readonly locality: Locality;
}

/**
 * How near a workload is: the leading preferences it shares. A network named first outweighs everything after it, and
 * missing it does not end the comparison: inside the other network the nearest still wins. Scopes are compared as they
 * are named: a zone is the same in every region unless the region stands before it. Undefined: not to be used at all.
 */
export function nearnessOf(
  workload: KnownWorkload,
  from: Viewpoint,
  loadBalancer: LoadBalancing | undefined,
): number | undefined {
  const { mode = 'Standard', routingPreferences = [] } = loadBalancer ?? {};
  if (mode === 'Standard' || mode === 'Passthrough') return 0;
  if (mode === 'Strict') return routingPreferences.every((s) => isShared(s, workload, from)) ? 0 : undefined;
  let rank = 0;
  for (const [index, scope] of routingPreferences.entries()) {
    const isSame = isShared(scope, workload, from);
    if (index === 0 && scope === 'Network') {
      if (isSame) rank += routingPreferences.length;
    } else if (isSame) rank++;
    else break;
  }
  return rank;
}

function isShared(scope: LocalityScope, a: KnownWorkload, b: Viewpoint): boolean {
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
    case 'Unknown':
      return false;
  }
}
