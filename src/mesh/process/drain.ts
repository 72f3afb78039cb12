import type { Logger } from '#base/telemetry/log.js';
import type { ReadinessCheck } from './readiness.js';

/** Something that serves, and is wound down step by step. Steps that do not matter to a part are left out. */
export interface DrainPart {
  /** No new work; what is under way goes on, and whoever keeps a connection is asked to let it go. */
  close?(): void;
  /** Resolves when nothing is under way. */
  idle?(): Promise<void>;
  /** Connections that only wait are ended in good order. What is under way still has a moment. */
  endIdle?(): void;
}

export interface DrainOptions {
  /** From the begin to the end, milliseconds: less than the pod's grace period. */
  readonly deadlineMs: number;
  /**
   * How long everything goes on as before, not ready any more, because callers learn late that this process is going.
   * At most a quarter of the deadline.
   */
  readonly leaveMs?: number;
  readonly log: Logger;
}

/**
 * How a program ends: `serving` -> `leaving` (not ready, all as before) -> `closing` (no new work, running work ends) ->
 * `over`. It goes from one to the next by itself, and is over early when every part is idle. What is left then is the
 * program's to cut off.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #over = new AbortController();
  #phase: 'serving' | 'leaving' | 'closing' | 'over' = 'serving';

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  get phase(): 'serving' | 'leaving' | 'closing' | 'over' {
    return this.#phase;
  }

  /** Fires when the drain is over, early or at its deadline. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** For `Readiness`: not ready from the first moment on. */
  readonly check: ReadinessCheck = () => (this.#phase === 'serving' ? undefined : 'draining');

  /** Drains the parts. Resolves at the end to whether all of them became idle. Runs once. */
  async run(parts: readonly DrainPart[]): Promise<boolean> {
    const { deadlineMs, leaveMs = 0, log } = this.#options;
    if (this.#phase !== 'serving') throw new Error('a drain runs once');
    log.info('draining', { deadlineMs });
    this.#phase = 'leaving';
    const leavingMs = Math.min(leaveMs, deadlineMs / 4);
    await atMost(leavingMs);
    this.#phase = 'closing';
    for (const part of parts) part.close?.();
    const idle = new AbortController();
    void Promise.all(parts.map((part) => part.idle?.() ?? Promise.resolve())).then(() => idle.abort());
    const lastMs = Math.min(lastMomentMs, deadlineMs / 10);
    await atMost(deadlineMs - leavingMs - lastMs, idle.signal);
    if (!idle.signal.aborted) {
      for (const part of parts) part.endIdle?.();
      await atMost(lastMs, idle.signal);
    }
    this.#phase = 'over';
    this.#over.abort(new Error('the drain is over'));
    if (!idle.signal.aborted) log.warn('the drain ends before everything did', { deadlineMs });
    return idle.signal.aborted;
  }
}

/** What is left of the deadline when idle connections are ended. */
const lastMomentMs = 1_000;

/** Waits that long, or less if the signal fires. */
function atMost(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal?.aborted === true) done();
    else signal?.addEventListener('abort', done);
  });
}
