import type { Host } from './host.js';
import type { HealthStatus, KnownService } from './known.js';
import { nearnessOf, type Viewpoint } from './viewpoint.js';
import { WeightedList } from './weighted-list.js';

/** Hosts that are equally good, drawn by capacity. */
export type HostGroup = WeightedList<Host>;

/** Outweighs any nearness. */
const healthStep = 1_000;

/**
 * The hosts of a service's port as seen from one place, in groups of equal worth: healthy before terminating, then by
 * nearness. What must not be used is in no group. Changing one host touches that host only.
 */
export class RankedHosts {
  readonly #service: KnownService;
  readonly #from: Viewpoint;
  readonly #groups = new Map<number, HostGroup>();
  readonly #placed = new Map<string, { readonly host: Host; readonly worth: number }>();
  #bestWorth = -1;

  constructor(service: KnownService, from: Viewpoint) {
    this.#service = service;
    this.#from = from;
  }

  /** The hosts to use now: the healthiest, and of those the nearest. Undefined when there is none. */
  best(): HostGroup | undefined {
    return this.#groups.get(this.#bestWorth);
  }

  /** The host that a workload is, if it is one to use now. */
  bestOf(uid: string): Host | undefined {
    const placed = this.#placed.get(uid);
    return placed?.worth === this.#bestWorth ? placed.host : undefined;
  }

  /** Adds, replaces or, for undefined, removes the host a workload is. */
  put(uid: string, host: Host | undefined): void {
    const before = this.#placed.get(uid);
    if (before !== undefined) this.#take(uid, before.host, before.worth);
    const worth = host === undefined ? undefined : this.#worthOf(host);
    if (host === undefined || worth === undefined) return;
    let group = this.#groups.get(worth);
    if (group === undefined) {
      group = new WeightedList();
      this.#groups.set(worth, group);
      this.#bestWorth = Math.max(this.#bestWorth, worth);
    }
    group.add(host, host.workload.capacity);
    this.#placed.set(uid, { host, worth });
  }

  #take(uid: string, host: Host, worth: number): void {
    this.#placed.delete(uid);
    const group = this.#groups.get(worth);
    group?.delete(host);
    if (group?.length !== 0) return;
    this.#groups.delete(worth);
    if (worth === this.#bestWorth) this.#bestWorth = Math.max(-1, ...this.#groups.keys());
  }

  #worthOf({ workload }: Host): number | undefined {
    // Another network is reached through its gateway, which no proxy here can do.
    if (workload.network !== this.#from.network || workload.capacity === 0) return undefined;
    const { loadBalancer } = this.#service;
    const health = loadBalancer?.healthPolicy === 'AllowAll' ? 1 : healthOf[workload.status];
    const nearness = nearnessOf(workload, this.#from, loadBalancer);
    return health === undefined || nearness === undefined ? undefined : health * healthStep + nearness;
  }
}

const healthOf: Readonly<Record<HealthStatus, number | undefined>> = {
  Healthy: 1,
  Terminating: 0,
  Unhealthy: undefined,
};
