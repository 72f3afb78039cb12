/** Aborts on the first SIGTERM or SIGINT. `dispose` takes the handlers away, so that the process can end by itself. */
export function terminationSignal(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  process.once('SIGTERM', abort);
  process.once('SIGINT', abort);
  return {
    signal: controller.signal,
    dispose: () => {
      process.removeListener('SIGTERM', abort);
      process.removeListener('SIGINT', abort);
    },
  };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
