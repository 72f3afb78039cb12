import { type Host, hostOf, type PortPurpose } from './host.js';
import type { KnownService, KnownWorkload } from './known.js';
import { RankedHosts } from './ranked-hosts.js';
import type { Viewpoint } from './viewpoint.js';

/** Places from which one process looks at a service: its node's, rarely a second one while the node is relabeled. */
const placesMax = 4;

/** The hosts of one port, and their order as seen from each place. */
interface HostSet {
  readonly hosts: Map<string, Host>;
  readonly byPlace: Map<string, RankedHosts>;
}

/**
 * The host sets of one service, by port. A set is made when it is first asked for and from then on kept current,
 * workload by workload. A service that changes gets new ones.
 */
export class ServiceHosts {
  readonly #service: KnownService;
  readonly #members: ReadonlyMap<string, KnownWorkload>;
  readonly #sets: Readonly<Record<PortPurpose, Map<number, HostSet>>> = {
    application: new Map(),
    waypoint: new Map(),
  };

  /** @param members the service's workloads by uid; the map is kept current by its owner */
  constructor(service: KnownService, members: ReadonlyMap<string, KnownWorkload>) {
    this.#service = service;
    this.#members = members;
  }

  /** The hosts of a port as seen from a place; undefined when the service has no such port. */
  of(port: number, purpose: PortPurpose, from: Viewpoint): RankedHosts | undefined {
    // Whoever tries ports that the service does not have must neither fill the memory nor cost time.
    if (purpose === 'application' && !this.#service.ports.has(port)) return undefined;
    const set = this.#sets[purpose].get(port) ?? this.#makeSet(port, purpose);
    const place = placeOf(this.#service, from);
    return set.byPlace.get(place) ?? this.#rank(set, place, from);
  }

  /** A workload was added, changed or, with undefined, removed. */
  put(uid: string, workload: KnownWorkload | undefined): void {
    for (const purpose of ['application', 'waypoint'] as const) {
      for (const [port, { hosts, byPlace }] of this.#sets[purpose]) {
        const host = workload && hostOf(workload, { service: this.#service, port, purpose });
        if (host === undefined) hosts.delete(uid);
        else hosts.set(uid, host);
        for (const ranked of byPlace.values()) ranked.put(uid, host);
      }
    }
  }

  #makeSet(port: number, purpose: PortPurpose): HostSet {
    const set: HostSet = { hosts: new Map(), byPlace: new Map() };
    for (const [uid, workload] of this.#members) {
      const host = hostOf(workload, { service: this.#service, port, purpose });
      if (host !== undefined) set.hosts.set(uid, host);
    }
    this.#sets[purpose].set(port, set);
    return set;
  }

  #rank({ hosts, byPlace }: HostSet, place: string, from: Viewpoint): RankedHosts {
    const ranked = new RankedHosts(this.#service, from);
    for (const [uid, host] of hosts) ranked.put(uid, host);
    const [oldest] = byPlace.keys();
    if (byPlace.size >= placesMax && oldest !== undefined) byPlace.delete(oldest);
    byPlace.set(place, ranked);
    return ranked;
  }
}

/** Equal for places that a service's preferences cannot tell apart. */
function placeOf({ loadBalancer }: KnownService, { network, clusterId, node, locality }: Viewpoint): string {
  if (loadBalancer === undefined || loadBalancer.routingPreferences.length === 0) return network;
  return [network, clusterId, node, locality.region, locality.zone, locality.subzone].join('|');
}
