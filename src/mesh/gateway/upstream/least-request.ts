import { type Endpoint, endpointKey } from './endpoint.js';

/** Random candidates compared for each pick. */
const choiceCount = 2;

/**
 * Load balancing by fewest active requests: of two endpoints drawn at random the less busy one is
 * used. Counts are of this process; an endpoint nobody uses takes no memory.
 */
export class LeastRequest {
  readonly #random: () => number;

  readonly #active = new Map<string, number>();

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Picks an endpoint, avoiding those tried before while there are others. */
  pick(endpoints: readonly Endpoint[], tried: ReadonlySet<string>): Endpoint | undefined {
    const fresh = endpoints.filter((endpoint) => !tried.has(endpointKey(endpoint)));
    const candidates = fresh.length > 0 ? fresh : endpoints;
    let best: Endpoint | undefined;
    for (let i = 0; i < choiceCount; i++) {
      const drawn = candidates[Math.floor(this.#random() * candidates.length)];
      if (drawn !== undefined && (best === undefined || this.#load(drawn) < this.#load(best))) best = drawn;
    }
    return best;
  }

  /** Counts a request or connection on an endpoint until the result is called. */
  begin(endpoint: Endpoint): () => void {
    const key = endpointKey(endpoint);
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

  #load(endpoint: Endpoint): number {
    return this.#active.get(endpointKey(endpoint)) ?? 0;
  }
}
