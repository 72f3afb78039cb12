/** Time as the code sees it, so that tests can move it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls once after the delay; the result cancels. A pending timer does not keep the process alive. */
  after(delayMs: number, fire: () => void): () => void;
}

/** setTimeout fires at once for longer delays than this. */
const timerMaxMs = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (delayMs, fire) => {
    const timer = setTimeout(fire, Math.min(Math.max(delayMs, 0), timerMaxMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
