import { FlagError, parseFlags, reportUsage } from './flags.js';
import { aborted, terminationSignal } from './termination.js';

/** A timer longer than this many milliseconds would fire at once (32-bit limit of timers). */
const timerMaxMs = 2 ** 31 - 1;

/** `tool sleep [SECONDS|infinity]`: waits, by default until terminated, and ends with 0 at once on SIGTERM. */
export async function sleep(args: readonly string[]): Promise<number> {
  let seconds: number;
  try {
    const text = parseFlags(args, {}).positional[0] ?? 'infinity';
    seconds = text === 'infinity' || text === 'inf' ? Number.POSITIVE_INFINITY : Number(text);
    if (Number.isNaN(seconds) || seconds < 0) throw new FlagError(`not a number of seconds: ${text}`);
  } catch (error) {
    return reportUsage('sleep', error);
  }
  const termination = terminationSignal();
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    aborted(termination.signal),
    new Promise<void>((resolve) => {
      // The interval also keeps the process alive when there is no end.
      timer = Number.isFinite(seconds)
        ? setTimeout(resolve, Math.min(seconds * 1000, timerMaxMs))
        : setInterval(() => undefined, timerMaxMs);
    }),
  ]);
  clearTimeout(timer);
  termination.dispose();
  return 0;
}
