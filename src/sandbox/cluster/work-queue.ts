/** Delay of the first retry of a key; doubles up to the maximum. */
const retryMinMs = 20;
const retryMaxMs = 30_000;

/** What a queue runs for a key. Throwing means: again, later. */
export type Reconcile = (key: string) => Promise<void>;

/**
 * Keys waiting to be reconciled. A key is never run twice at once: one added
 * while it runs is run again after. Failing keys come back with a growing delay.
 * Its size is bounded by the number of objects, since equal keys are one entry.
 */
export class WorkQueue {
  readonly #reconcile: Reconcile;
  readonly #onError: (key: string, error: unknown, attempt: number) => void;
  readonly #workersMax: number;
  readonly #signal: AbortSignal;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  #isStarted = false;

  constructor(o: {
    readonly reconcile: Reconcile;
    readonly workersMax: number;
    readonly signal: AbortSignal;
    readonly onError: (key: string, error: unknown, attempt: number) => void;
  }) {
    this.#reconcile = o.reconcile;
    this.#workersMax = o.workersMax;
    this.#signal = o.signal;
    this.#onError = o.onError;
    o.signal.addEventListener('abort', () => this.#stop(), { once: true });
  }

  /** Begins to work; keys added before wait. */
  start(): void {
    this.#isStarted = true;
    this.#pump();
  }

  /** Runs the key as soon as a worker is free. */
  add(key: string): void {
    if (this.#signal.aborted) return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#pump();
  }

  /** Runs the key after `ms`, or earlier when something earlier was asked for. */
  addAfter(key: string, ms: number): void {
    if (this.#signal.aborted) return;
    const at = Date.now() + ms;
    const planned = this.#timers.get(key);
    if (planned !== undefined) {
      if (planned.at <= at) return;
      clearTimeout(planned.timer);
    }
    const timerMaxMs = 2 ** 31 - 1;
    const timer = setTimeout(
      () => {
        this.#timers.delete(key);
        this.add(key);
      },
      Math.min(Math.max(ms, 0), timerMaxMs),
    );
    this.#timers.set(key, { timer, at });
  }

  #pump(): void {
    if (!this.#isStarted) return;
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#workersMax || this.#signal.aborted) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    try {
      await this.#reconcile(key);
      this.#failures.delete(key);
    } catch (error) {
      if (!this.#signal.aborted) {
        const attempt = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, attempt);
        this.#onError(key, error, attempt);
        this.addAfter(key, Math.min(retryMinMs * 2 ** Math.min(attempt - 1, 20), retryMaxMs));
      }
    } finally {
      this.#running.delete(key);
      if (this.#again.delete(key)) this.#waiting.add(key);
      this.#pump();
    }
  }

  #stop(): void {
    this.#waiting.clear();
    this.#again.clear();
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
