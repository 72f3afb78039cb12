/** A change waits this long for others to join it, in milliseconds. */
const quietMs = 15;
/** No change waits longer than this for others, however many follow it, in milliseconds. */
const quietMaxMs = 100;
/** How many times the processor time of a recomputation passes before the next: telling proxies takes a share of the time. */
const restFactor = 8;
/** However much it cost, changes do not wait longer than this for it, in milliseconds. */
const restMaxMs = 300;

/**
 * When changes are recomputed and pushed. A lone change is at once, with those that come with it; where changes keep
 * coming, the more a push costs (by the number of proxies and of changes) the more of them share one. Times are
 * milliseconds of any one clock.
 */
export class FlushPace {
  #firstStaleMs: number | undefined;
  #restUntilMs = 0;

  /** A change came; returns how long to wait from now, if none follows. */
  changed(nowMs: number): number {
    this.#firstStaleMs ??= nowMs;
    const quietEndMs = Math.min(nowMs + quietMs, this.#firstStaleMs + quietMaxMs);
    return Math.max(0, quietEndMs - nowMs, this.#restUntilMs - nowMs);
  }

  /** A recomputation begins: it serves everything that came before. */
  began(): void {
    this.#firstStaleMs = undefined;
  }

  /** A recomputation ended, with all it left for later; the cost is processor time. */
  ended(nowMs: number, costMs: number): void {
    this.#restUntilMs = nowMs + Math.min(costMs * restFactor, restMaxMs);
  }
}
