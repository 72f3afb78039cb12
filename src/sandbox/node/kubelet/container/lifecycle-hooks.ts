import { untilAborted } from '#base/system/until.js';
import type { LifecycleHandler } from '#base/kube/types.js';
import { type ProbeOutcome, type ProbeTarget, runHandler } from '../../probe/prober.js';

/** Hooks have no timeout of their own: the grace period or nothing bounds them. */
const noTimeoutMs = 24 * 60 * 60 * 1000;

/** How a hook ended; `isAbandoned`: something more important ended the wait. */
export type HookOutcome = ProbeOutcome & { readonly isAbandoned?: boolean };

/**
 * Runs a postStart or preStop hook to its end, however long it takes, unless the
 * signal aborts: then it is abandoned (an exec hook is killed).
 */
export async function runHook(
  handler: LifecycleHandler,
  target: (signal: AbortSignal) => ProbeTarget,
  signal: AbortSignal,
): Promise<HookOutcome> {
  const { sleep } = handler;
  const work =
    sleep === undefined ? runHandler(handler, target(signal), noTimeoutMs) : rest(sleep.seconds, signal);
  const outcome = await Promise.race([work, untilAborted(signal)]);
  return outcome ?? { isSuccess: false, message: 'abandoned', isAbandoned: true };
}

async function rest(seconds: number, signal: AbortSignal): Promise<ProbeOutcome> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return { isSuccess: true, message: '' };
}
