import type { EndpointSlice } from '#base/kube/types.js';
import type { RoutingNode } from './routing-node.js';

/** An endpoint packets can be sent to. */
export interface Backend {
  readonly ip: string;
  readonly port: number;
  readonly isLocal: boolean;
}

interface Candidate extends Backend {
  /** Zones the endpoint is meant for; undefined without hints. */
  readonly zones: readonly string[] | undefined;
}

/**
 * The endpoints a node sends new connections to: ready ones, of the node's zone when
 * every one of them has hints and one is meant for it; when none is ready, those still
 * serving while they terminate. Zones do not matter for the endpoints on the node itself.
 */
export function backendsOf(
  slices: readonly EndpointSlice[],
  o: { readonly portName: string; readonly protocol: 'tcp' | 'udp'; readonly node: RoutingNode },
): { readonly all: Backend[]; readonly local: Backend[] } {
  const ready = new Map<string, Candidate>();
  const draining = new Map<string, Candidate>();
  for (const slice of slices) {
    for (const port of slice.ports ?? []) {
      const isSame =
        (port.name ?? '') === o.portName && (port.protocol ?? 'TCP').toLowerCase() === o.protocol;
      if (!isSame || port.port === undefined) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const ip = endpoint.addresses[0];
        if (ip === undefined) continue;
        const candidate: Candidate = {
          ip,
          port: port.port,
          isLocal: o.node.name !== undefined && endpoint.nodeName === o.node.name,
          zones: endpoint.hints?.forZones?.map((zone) => zone.name),
        };
        const { conditions } = endpoint;
        const key = `${ip} ${port.port}`;
        if (conditions?.ready !== false) ready.set(key, candidate);
        else if (conditions.serving === true && conditions.terminating === true) draining.set(key, candidate);
      }
    }
  }
  const choose = (first: readonly Candidate[], second: readonly Candidate[]): Backend[] =>
    (first.length > 0 ? first : second)
      .map(({ ip, port, isLocal }) => ({ ip, port, isLocal }))
      .toSorted((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : a.port - b.port));
  const alive = [...ready.values()];
  const ending = [...draining.values()];
  const isLocal = (candidate: Candidate): boolean => candidate.isLocal;
  return {
    all: choose(inZone(alive, o.node.zone), ending),
    local: choose(alive.filter(isLocal), ending.filter(isLocal)),
  };
}

function inZone(candidates: readonly Candidate[], zone: string | undefined): readonly Candidate[] {
  if (zone === undefined || candidates.some((each) => each.zones === undefined)) return candidates;
  const near = candidates.filter((each) => each.zones?.includes(zone) === true);
  return near.length > 0 ? near : candidates;
}
