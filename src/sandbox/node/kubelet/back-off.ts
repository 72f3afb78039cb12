/**
 * The delay before the next restart: none for the first, then doubling. The values
 * are those of Kubernetes' reduced back-off (KEP-4603), because whoever sits in front of
 * a sandbox waits for it.
 */
export class BackOff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #resetAfterMs: number;
  #nextMs = 0;

  constructor(o: { initialMs?: number; maxMs?: number; resetAfterMs?: number } = {}) {
    this.#initialMs = o.initialMs ?? 1_000;
    this.#maxMs = o.maxMs ?? 60_000;
    this.#resetAfterMs = o.resetAfterMs ?? 600_000;
  }

  /** Milliseconds to wait after a run that lasted `ranForMs`; a long run starts over. */
  next(ranForMs = 0): number {
    if (ranForMs >= this.#resetAfterMs) this.#nextMs = 0;
    const delayMs = this.#nextMs;
    this.#nextMs = delayMs === 0 ? this.#initialMs : Math.min(delayMs * 2, this.#maxMs);
    return delayMs;
  }

  reset(): void {
    this.#nextMs = 0;
  }
}
