/**
 * The delay before the next restart, as kubelet counts it: none for the first, then
 * 10 s doubling up to 5 min; a run of 10 min starts over.
 */
export class BackOff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #resetAfterMs: number;
  #currentMs = 0;
  #nextMs = 0;

  constructor(o: { initialMs?: number; maxMs?: number; resetAfterMs?: number } = {}) {
    this.#initialMs = o.initialMs ?? 10_000;
    this.#maxMs = o.maxMs ?? 300_000;
    this.#resetAfterMs = o.resetAfterMs ?? 600_000;
  }

  /** What {@link next} answered last. */
  get currentMs(): number {
    return this.#currentMs;
  }

  /** Milliseconds to wait after a run that lasted `ranForMs`; a long run starts over. */
  next(ranForMs = 0): number {
    if (ranForMs >= this.#resetAfterMs) this.#nextMs = 0;
    this.#currentMs = this.#nextMs;
    this.#nextMs = this.#currentMs === 0 ? this.#initialMs : Math.min(this.#currentMs * 2, this.#maxMs);
    return this.#currentMs;
  }

  reset(): void {
    this.#nextMs = 0;
    this.#currentMs = 0;
  }
}
