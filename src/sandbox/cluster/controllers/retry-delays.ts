/** Entries kept; beyond it the oldest is forgotten and starts over. */
const entriesMax = 4096;

/** Growing delays per key: the first attempt is free, each further one waits twice as long as the last. */
export class RetryDelays {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #entries = new Map<string, { delayMs: number; notBefore: number }>();

  constructor(o: { readonly minMs: number; readonly maxMs: number }) {
    this.#minMs = o.minMs;
    this.#maxMs = o.maxMs;
  }

  /** 0 when the attempt may go ahead now, which it counts; otherwise how long to wait. */
  waitMs(key: string, nowMs: number): number {
    const entry = this.#entries.get(key);
    if (entry !== undefined && nowMs < entry.notBefore) return entry.notBefore - nowMs;
    // Twice the longest wait without an attempt counts as healthy again.
    const isHealthy = entry === undefined || nowMs > entry.notBefore + 2 * this.#maxMs;
    const delayMs = isHealthy ? this.#minMs : Math.min(entry.delayMs * 2, this.#maxMs);
    this.#entries.delete(key);
    this.#entries.set(key, { delayMs, notBefore: nowMs + delayMs });
    if (this.#entries.size > entriesMax) {
      const oldest = this.#entries.keys().next();
      if (oldest.done !== true) this.#entries.delete(oldest.value);
    }
    return 0;
  }

  /** How long until the next attempt may go ahead, without counting one. */
  remainingMs(key: string, nowMs: number): number {
    return Math.max(0, (this.#entries.get(key)?.notBefore ?? 0) - nowMs);
  }
}
