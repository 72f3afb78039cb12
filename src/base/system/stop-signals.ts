/** How a process learns that it shall end. */
export interface StopSignals {
  /** Aborted by the first SIGTERM or SIGINT; its reason names the signal. */
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  release(): void;
}

/**
 * Takes SIGTERM and SIGINT over: the first one asks for an orderly end. A second SIGINT ends the process at once: the
 * person at the terminal does not want to wait for the rest.
 */
export function stopSignals(onSignal: (name: NodeJS.Signals) => void = () => undefined): StopSignals {
  const stop = new AbortController();
  const onStop = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted && name === 'SIGINT') process.kill(process.pid, 'SIGKILL');
    onSignal(name);
    stop.abort(new Error(name));
  };
  process.on('SIGTERM', onStop);
  process.on('SIGINT', onStop);
  return {
    signal: stop.signal,
    release: () => {
      process.off('SIGTERM', onStop);
      process.off('SIGINT', onStop);
    },
  };
}
