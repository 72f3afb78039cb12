import type { Logger } from '#base/telemetry/log.js';
import { messageOf } from '#base/errors/mesh-error.js';

export interface KeyedQueueDeps {
  /** Brings one object to its wanted state; a rejection means try again later. */
  readonly process: (key: string) => Promise<void>;
  readonly log: Logger;
}

const backoffMinMs = 50;
const backoffMaxMs = 5_000;
/** Objects worked on at once: each runs several processes. */
const concurrencyMax = 4;

interface Entry {
  failureCount: number;
  timer: NodeJS.Timeout | undefined;
  isQueued: boolean;
}

/**
 * A work queue with one worker per key: the same pod is never worked on twice at a
 * time, a key added while it is queued is worked on once, a failed one comes back
 * after a growing pause, for ever. Its size is bounded by the number of pods of the node.
 */
export class KeyedQueue {
  readonly #deps: KeyedQueueDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #ready: string[] = [];
  readonly #locks = new Map<string, Promise<void>>();
  #activeCount = 0;
  #isClosed = false;

  constructor(deps: KeyedQueueDeps) {
    this.#deps = deps;
  }

  /** Queues a key, at once even when it is waiting for a retry. */
  add(key: string): void {
    if (this.#isClosed) return;
    const entry = this.#entries.get(key) ?? { failureCount: 0, timer: undefined, isQueued: false };
    this.#entries.set(key, entry);
    clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.isQueued) return;
    entry.isQueued = true;
    this.#ready.push(key);
    this.#next();
  }

  /** Runs `task` while nobody else works on the key. */
  async exclusive<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#locks.get(key) ?? Promise.resolve();
    const result = before.then(task);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#locks.set(key, settled);
    try {
      return await result;
    } finally {
      if (this.#locks.get(key) === settled) this.#locks.delete(key);
    }
  }

  /** Resolves when what runs now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#locks.values());
  }

  /** Stops; what runs is awaited. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#ready.length = 0;
    await Promise.all(this.#locks.values());
  }

  #next(): void {
    while (this.#activeCount < concurrencyMax) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      this.#activeCount++;
      void this.#work(key).finally(() => {
        this.#activeCount--;
        this.#next();
      });
    }
  }

  async #work(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.isQueued = false;
    try {
      await this.exclusive(key, () => this.#deps.process(key));
      entry.failureCount = 0;
      if (!entry.isQueued && entry.timer === undefined) this.#entries.delete(key);
    } catch (error) {
      const waitMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(entry.failureCount, 16));
      entry.failureCount++;
      this.#deps.log.warn('will try again', { pod: key, waitMs, error: messageOf(error) });
      if (this.#isClosed || entry.isQueued) return;
      entry.timer = setTimeout(() => this.add(key), waitMs);
    }
  }
}
