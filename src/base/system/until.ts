import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when the signal ends. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Waits for the promise or for the end of the signal, whichever comes first: a local copy never
 * becomes complete while the API server is away, and a stop must not wait for it.
 */
export async function untilDoneOrAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  await Promise.race([work, untilAborted(signal)]);
}

/** Waits, or until the signal ends: a loop that pauses looks at the signal itself. Never rejects. `ms` in milliseconds. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** A promise with what resolves it. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
