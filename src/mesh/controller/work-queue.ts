import { setTimeout as delay } from 'node:timers/promises';

/** Wait after a first failure, doubled for every further one, in milliseconds. */
const retryMinMs = 200;
const retryMaxMs = 30_000;

export interface WorkQueueOptions {
  /** Brings the object of a key to its desired state. A rejection is retried with back-off. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<void>;
  readonly onError: (key: string, error: unknown) => void;
  /** Keys reconciled at a time. */
  readonly concurrency: number;
}

/**
 * Keys waiting to be reconciled. A key waits at most once; one that is added while it is being
 * worked on is worked on again afterwards. Bounded by the number of distinct keys.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #active = new Set<string>();
  readonly #failures = new Map<string, number>();
  /** Keys whose retry is due later: one timer each, however often the key fails meanwhile. */
  readonly #delayed = new Set<string>();
  #signal: AbortSignal | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Asks for a key to be reconciled. */
  add(key: string): void {
    this.#waiting.add(key);
    this.#dispatch();
  }

  /** Works until the signal ends; what was added before is kept until then. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    this.#dispatch();
  }

  #dispatch(): void {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    for (const key of this.#waiting) {
      if (this.#active.size >= this.#options.concurrency) return;
      if (this.#active.has(key)) continue;
      this.#waiting.delete(key);
      this.#active.add(key);
      void this.#work(key, signal);
    }
  }

  async #work(key: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.reconcile(key, signal);
      this.#failures.delete(key);
    } catch (error) {
      if (!signal.aborted) {
        this.#options.onError(key, error);
        void this.#retry(key, signal);
      }
    } finally {
      this.#active.delete(key);
      this.#dispatch();
    }
  }

  async #retry(key: string, signal: AbortSignal): Promise<void> {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    if (this.#delayed.has(key)) return;
    this.#delayed.add(key);
    const waitMs = Math.min(retryMinMs * 2 ** failures, retryMaxMs);
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
    this.#delayed.delete(key);
    // Reconciled meanwhile: nothing is left to retry.
    if (!signal.aborted && this.#failures.has(key)) this.add(key);
  }
}
