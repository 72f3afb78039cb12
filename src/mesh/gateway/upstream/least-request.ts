import type { Host } from '../../view/host.js';
import type { HostGroup } from '../../view/ranked-hosts.js';

/**
 * Load balancing by fewest active requests: of two hosts drawn by capacity the less busy one for its capacity is used.
 * Counts are of this process; a host nobody uses takes no memory, and one that changes keeps its count.
 */
export class LeastRequest {
  readonly #random: () => number;
  readonly #active = new Map<string, number>();

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Picks a host, avoiding those tried before while there are others. Costs the same however many there are. */
  pick(hosts: HostGroup | undefined, tried: ReadonlySet<string>): Host | undefined {
    const first = this.#draw(hosts, tried);
    const second = this.#draw(hosts, tried);
    if (first === undefined || second === undefined) return first ?? second;
    const isSecondLess =
      this.#load(second) * first.workload.capacity < this.#load(first) * second.workload.capacity;
    return isSecondLess ? second : first;
  }

  /** Counts a request or connection on a host, by its key, until the result is called. */
  begin(key: string): () => void {
    this.#active.set(key, (this.#active.get(key) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#active.get(key) ?? 1) - 1;
      if (left === 0) this.#active.delete(key);
      else this.#active.set(key, left);
    };
  }

  #draw(hosts: HostGroup | undefined, tried: ReadonlySet<string>): Host | undefined {
    return tried.size === 0
      ? hosts?.draw(this.#random)
      : hosts?.drawOther(this.#random, ({ key }) => tried.has(key));
  }

  #load({ key }: Host): number {
    return this.#active.get(key) ?? 0;
  }
}
