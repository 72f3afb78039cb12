/** The longest sleep between two rounds, however long a step wants to wait. */
const idleMs = 60_000;

/**
 * Runs a step again and again, never two at once: after the time the step asks for, or
 * as soon as {@link wake} is called (also while a step runs). Ends with the signal.
 */
export class WakeableLoop {
  readonly ended: Promise<void>;
  #isWoken = false;
  #wakeUp: () => void = () => undefined;

  /** `step` resolves to milliseconds until the next round, or to 'end'. It must not reject. */
  constructor(step: () => Promise<number | 'end'>, signal: AbortSignal) {
    this.ended = this.#run(step, signal);
  }

  wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  async #run(step: () => Promise<number | 'end'>, signal: AbortSignal): Promise<void> {
    // The owner is still being constructed when this begins.
    await Promise.resolve();
    while (!signal.aborted) {
      this.#isWoken = false;
      const waitMs = await step();
      if (waitMs === 'end') return;
      await this.#pause(Math.min(waitMs, idleMs), signal);
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isWoken || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal.addEventListener('abort', finish, { once: true });
      this.#wakeUp = finish;
    });
  }
}
