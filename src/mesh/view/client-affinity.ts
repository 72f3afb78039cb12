import type { Host } from './host.js';
import type { KnownService } from './known.js';
import type { HostGroup, RankedHosts } from './ranked-hosts.js';

/** Clients remembered, over all services; beyond it those are forgotten that have not called for longest. */
const bindingsMax = 16_384;

interface Binding {
  readonly uid: string;
  readonly usedMs: number;
}

/**
 * Which host each client of a service with session affinity is bound to (`sessionAffinity: ClientIP`). As for
 * Kubernetes' own service proxy, a binding holds while the host is among those to be used, and until the client has
 * not called for the time the service says.
 */
export class ClientAffinity {
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #bindings = new Map<string, Binding>();

  /** @param now milliseconds of any clock that does not jump */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The host a client is bound to, else the one that is drawn, which it is bound to from then on. */
  pick(o: {
    readonly service: KnownService;
    readonly port: number;
    readonly client: string;
    readonly hosts: RankedHosts;
    readonly draw: (group: HostGroup | undefined) => Host | undefined;
    /** Whether the bound host is not to be used this time. */
    readonly isExcluded?: (host: Host) => boolean;
  }): Host | undefined {
    const { service, hosts, draw, isExcluded } = o;
    if (service.affinitySeconds === undefined) return draw(hosts.best());
    const key = `${service.key}|${o.port}|${o.client}`;
    const bound = this.#boundHost(key, hosts, service.affinitySeconds * 1_000);
    const host = bound === undefined || isExcluded?.(bound) === true ? draw(hosts.best()) : bound;
    if (host !== undefined) this.#bind(key, host);
    return host;
  }

  #boundHost(key: string, hosts: RankedHosts, limitMs: number): Host | undefined {
    const binding = this.#bindings.get(key);
    if (binding === undefined || this.#now() - binding.usedMs > limitMs) return undefined;
    return hosts.bestOf(binding.uid);
  }

  #bind(key: string, { workload }: Host): void {
    this.#bindings.delete(key);
    this.#bindings.set(key, { uid: workload.uid, usedMs: this.#now() });
    const [oldest] = this.#bindings.keys();
    if (this.#bindings.size > bindingsMax && oldest !== undefined) this.#bindings.delete(oldest);
  }
}
