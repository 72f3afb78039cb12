/** Keys at work and waiting; beyond this the oldest retries are dropped to their next trigger. */
const retryDelays = { firstMs: 20, maxMs: 5_000 } as const;
const failuresRemembered = 10_000;

/**
 * Runs a handler for keys, one at a time, each key once however often it was
 * added meanwhile, and again with growing delay when it fails or asks for it.
 */
export class WorkQueue {
  readonly #handle: (key: string) => Promise<'done' | 'again'>;
  readonly #onError: (key: string, error: unknown) => void;
  readonly #waiting = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(
    handle: (key: string) => Promise<'done' | 'again'>,
    onError: (key: string, error: unknown) => void,
  ) {
    this.#handle = handle;
    this.#onError = onError;
  }

  add(key: string): void {
    if (this.#isStopped) return;
    this.#waiting.add(key);
    // Started in a later turn: callers are in the middle of a commit.
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  /** Takes no more work and waits for the key in hand. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#waiting.clear();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const [key] = this.#waiting;
      if (key === undefined || this.#isStopped) break;
      this.#waiting.delete(key);
      let isDone = false;
      try {
        isDone = (await this.#handle(key)) === 'done';
      } catch (error) {
        this.#onError(key, error);
      }
      if (isDone) this.#failures.delete(key);
      else this.#retry(key);
    }
    this.#running = undefined;
  }

  #retry(key: string): void {
    if (this.#failures.size > failuresRemembered) this.#failures.clear();
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delayMs = Math.min(retryDelays.firstMs * 2 ** failures, retryDelays.maxMs);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.add(key);
    }, delayMs);
    this.#timers.add(timer);
  }
}
