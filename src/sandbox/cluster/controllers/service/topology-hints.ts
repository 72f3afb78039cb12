import type { EndpointSlice, Node, Service } from '#base/kube/types.js';
import { parseQuantity } from '../../../base/quantity.js';
import type { DesiredSlice } from './endpoint-model.js';

type SliceEndpoint = NonNullable<EndpointSlice['endpoints']>[number];

const zoneLabel = 'topology.kubernetes.io/zone';
const modeAnnotation = 'service.kubernetes.io/topology-mode';
/** How much more than its share a zone's endpoints may have to carry. */
const overloadMax = 0.2;

/**
 * Adds hints for which zones' clients an endpoint is meant: its own with
 * `trafficDistribution: PreferClose`, shared out by the zones' CPUs with topology mode
 * Auto. Hints come for all ready endpoints of an address family or for none.
 */
export function withHints(
  slices: readonly DesiredSlice[],
  service: Service,
  nodes: readonly Node[],
): readonly DesiredSlice[] {
  const mode = service.metadata.annotations?.[modeAnnotation];
  const isAuto = mode === 'Auto' || mode === 'auto';
  const isClose = service.spec.trafficDistribution === 'PreferClose';
  if (!isAuto && !isClose) return slices;
  const hints = new Map<SliceEndpoint, string>();
  for (const family of new Set(slices.map((slice) => slice.addressType))) {
    const endpoints = slices.flatMap((s) => (s.addressType === family ? s.endpoints : [])).filter(isReady);
    const chosen = isAuto ? byShare(endpoints, nodes) : byOwnZone(endpoints);
    for (const [endpoint, zone] of chosen ?? []) hints.set(endpoint, zone);
  }
  return slices.map((slice) => ({
    ...slice,
    endpoints: slice.endpoints.map((endpoint) => {
      const zone = hints.get(endpoint);
      return zone === undefined ? endpoint : { ...endpoint, hints: { forZones: [{ name: zone }] } };
    }),
  }));
}

type Hints = ReadonlyMap<SliceEndpoint, string>;

function isReady(endpoint: SliceEndpoint): boolean {
  return endpoint.conditions?.ready === true;
}

function byOwnZone(endpoints: readonly SliceEndpoint[]): Hints {
  return new Map(endpoints.flatMap((each) => (each.zone === undefined ? [] : [[each, each.zone] as const])));
}

/** Undefined when a fair distribution is impossible. */
function byShare(endpoints: readonly SliceEndpoint[], nodes: readonly Node[]): Hints | undefined {
  const shares = cpuShares(nodes);
  if (shares === undefined || shares.size < 2 || endpoints.length < shares.size) return undefined;
  const byZone = new Map<string, SliceEndpoint[]>([...shares.keys()].map((zone) => [zone, []]));
  for (const endpoint of endpoints) {
    const own = byZone.get(endpoint.zone ?? '');
    if (own === undefined) return undefined;
    own.push(endpoint);
  }
  const desired = (zone: string): number => (shares.get(zone) ?? 0) * endpoints.length;
  const minimum = (zone: string): number => Math.ceil(desired(zone) / (1 + overloadMax));
  const minimums = [...shares.keys()].reduce((sum, zone) => sum + minimum(zone), 0);
  if (minimums > endpoints.length) return undefined;
  for (const [zone, own] of byZone) {
    while (own.length < minimum(zone)) {
      const surplus = ([name, list]: readonly [string, SliceEndpoint[]]): number =>
        list.length - desired(name);
      const [donor] = [...byZone]
        .filter(([name, list]) => list.length > minimum(name))
        .toSorted((a, b) => surplus(b) - surplus(a));
      const moved = donor?.[1].pop();
      if (moved === undefined) return undefined;
      own.push(moved);
    }
  }
  return new Map([...byZone].flatMap(([zone, list]) => list.map((endpoint) => [endpoint, zone] as const)));
}

/** Each zone's part of the CPUs of ready nodes; undefined when a node does not say where it is. */
function cpuShares(nodes: readonly Node[]): ReadonlyMap<string, number> | undefined {
  const cpus = new Map<string, number>();
  for (const node of nodes) {
    const isUp = node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
    if (!isUp || isControlPlane(node)) continue;
    const zone = node.metadata.labels?.[zoneLabel];
    const cpu = parseQuantity(node.status?.allocatable?.['cpu']);
    if (zone === undefined || cpu === undefined) return undefined;
    cpus.set(zone, (cpus.get(zone) ?? 0) + cpu);
  }
  const total = [...cpus.values()].reduce((sum, cpu) => sum + cpu, 0);
  return new Map([...cpus].map(([zone, cpu]) => [zone, cpu / total]));
}

function isControlPlane(node: Node): boolean {
  return node.metadata.labels?.['node-role.kubernetes.io/control-plane'] !== undefined;
}
