const retryMinMs = 20;
const retryMaxMs = 30_000;
const timerMaxMs = 2 ** 31 - 1;

export interface WorkQueueOptions {
  /**
   * Brings what a key names to its desired state. Throwing means: again, later; so does resolving to `again`, without
   * having failed.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<unknown>;
  readonly onError: (key: string, error: unknown, attempt: number) => void;
  /** Keys worked on at a time. */
  readonly workersMax: number;
  /** Wait before a first retry, doubled for every further one, in milliseconds. Default 20. */
  readonly retryMinMs?: number;
  /** The longest wait before a retry; default 30 s. */
  readonly retryMaxMs?: number;
}

interface Planned {
  readonly timer: NodeJS.Timeout;
  readonly at: number;
}

/**
 * Keys waiting to be reconciled. A key waits at most once and is never worked on twice at once: one that is added
 * meanwhile is worked on again afterwards. Bounded by the number of distinct keys.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #failures = new Map<string, number>();
  /** A success in between makes a retry needless, but not what was asked for. */
  readonly #retries = new Map<string, Planned>();
  readonly #asked = new Map<string, Planned>();
  #idle: (() => void)[] = [];
  #signal: AbortSignal | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Works until the signal ends; keys added before wait for it. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#stop(), { once: true });
    if (signal.aborted) this.#stop();
    this.#dispatch();
  }

  /** Asks for a key to be reconciled as soon as a worker is free. */
  add(key: string): void {
    if (this.#signal?.aborted === true) return;
    this.#waiting.add(key);
    this.#dispatch();
  }

  /** Asks for a key to be reconciled after some milliseconds, or earlier when something earlier was asked for. */
  addAfter(key: string, ms: number): void {
    this.#plan(this.#asked, key, ms);
  }

  /** Resolves when no key is being worked on. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #dispatch(): void {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.workersMax) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#work(key, signal);
    }
  }

  async #work(key: string, signal: AbortSignal): Promise<void> {
    try {
      const outcome = await this.#options.reconcile(key, signal);
      if (outcome === 'again') this.#retry(key);
      else this.#settle(key);
    } catch (error) {
      if (!signal.aborted) this.#options.onError(key, error, this.#retry(key));
    } finally {
      this.#running.delete(key);
      this.#dispatch();
      if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  #settle(key: string): void {
    this.#failures.delete(key);
    clearTimeout(this.#retries.get(key)?.timer);
    this.#retries.delete(key);
  }

  /** Plans the next attempt; returns the number of the one that failed. */
  #retry(key: string): number {
    const attempt = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, attempt);
    const first = this.#options.retryMinMs ?? retryMinMs;
    const ms = Math.min(first * 2 ** Math.min(attempt - 1, 20), this.#options.retryMaxMs ?? retryMaxMs);
    if (!this.#retries.has(key)) this.#plan(this.#retries, key, ms);
    return attempt;
  }

  #plan(plans: Map<string, Planned>, key: string, ms: number): void {
    if (this.#signal?.aborted === true) return;
    const at = Date.now() + ms;
    const earlier = plans.get(key);
    if (earlier !== undefined && earlier.at <= at) return;
    clearTimeout(earlier?.timer);
    const due = (): void => {
      plans.delete(key);
      this.add(key);
    };
    plans.set(key, { timer: setTimeout(due, Math.min(Math.max(ms, 0), timerMaxMs)), at });
  }

  #stop(): void {
    this.#waiting.clear();
    for (const plans of [this.#retries, this.#asked]) {
      for (const { timer } of plans.values()) clearTimeout(timer);
      plans.clear();
    }
  }
}
