import { setTimeout as delay } from 'node:timers/promises';

/** Changes are gathered this long before they are applied together. */
const debounceMs = 20;
/** What was written is compared with what is there this often. */
const verifyMs = 30_000;
const retryMinMs = 200;
const retryMaxMs = 10_000;

/** Somebody who waits for the state as of now to be in force. */
interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Applies a state again and again: soon after each {@link wake}, at once for a
 * {@link flush}, after a growing delay when it failed, and now and then to repair what
 * others destroyed. Applies never overlap.
 */
export class RuleLoop {
  /** Resolves after the first successful apply. */
  readonly ready: Promise<void>;
  readonly #o: {
    readonly apply: () => Promise<void>;
    readonly verify: () => Promise<void>;
    readonly onError: (error: unknown) => void;
    readonly verifyMs?: number;
  };
  #markReady: () => void = () => undefined;
  #isDirty = true;
  #waiters: Waiter[] = [];
  #interrupt = new AbortController();

  constructor(o: {
    readonly apply: () => Promise<void>;
    readonly verify: () => Promise<void>;
    readonly onError: (error: unknown) => void;
    /** Milliseconds; default 30 000. */
    readonly verifyMs?: number;
  }) {
    this.#o = o;
    this.ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
  }

  /** The wanted state changed. */
  wake(): void {
    this.#isDirty = true;
    this.#interrupt.abort();
  }

  /** Resolves when the state wanted now is in force; rejects with the error when that failed. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.wake();
    });
  }

  /** Runs until the signal ends; those who wait are then let go. */
  async run(signal: AbortSignal): Promise<void> {
    let backoffMs = retryMinMs;
    while (!signal.aborted) {
      this.#isDirty = false;
      const waiters = this.#waiters;
      this.#waiters = [];
      try {
        await this.#o.apply();
        backoffMs = retryMinMs;
        this.#markReady();
        for (const { resolve } of waiters) resolve();
        await this.#idle(signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#o.onError(error);
        for (const { reject } of waiters) reject(error);
        await delay(backoffMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
        backoffMs = Math.min(backoffMs * 2, retryMaxMs);
      }
    }
    for (const { resolve } of this.#waiters) resolve();
  }

  /** Waits for a change, gathers more of them; verifies when nothing happens for long. */
  async #idle(signal: AbortSignal): Promise<void> {
    if (!this.#isDirty) {
      this.#interrupt = new AbortController();
      const either = AbortSignal.any([signal, this.#interrupt.signal]);
      const isQuiet = await delay(this.#o.verifyMs ?? verifyMs, true, { signal: either }).catch(() => false);
      if (isQuiet) {
        await this.#o.verify();
        return;
      }
    }
    if (this.#waiters.length === 0) await delay(debounceMs, undefined, { signal }).catch(() => undefined);
  }
}
