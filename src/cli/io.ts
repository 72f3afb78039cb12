import type { Readable } from 'node:stream';

/** The terminal and environment a command sees; tests hand in their own. */
export interface Io {
  /** Where answers to questions come from. */
  readonly stdin: Readable;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** stdin and stderr are terminals: questions may be asked, progress may be animated. */
  readonly isInteractive: boolean;
  readonly isStdoutTty: boolean;
  /** Columns of the terminal, where there is one that tells. */
  readonly columns?: number | undefined;
  readonly env: NodeJS.ProcessEnv;
  /**
   * Tells a listener of SIGTERM, SIGHUP and SIGINT, for another program to end by, until the returned function is
   * called; of SIGINT only where no terminal sends it to that program as well.
   */
  readonly signals: (listener: (name: NodeJS.Signals) => void) => () => void;
}

/** The process's own streams. */
export function processIo(env: NodeJS.ProcessEnv): Io {
  return {
    // Opened only by who reads it.
    get stdin() {
      return process.stdin;
    },
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isInteractive: process.stdin.isTTY && process.stderr.isTTY,
    isStdoutTty: process.stdout.isTTY,
    // Read anew by every look of a command that watches: windows are resized.
    get columns() {
      return process.stdout.columns || process.stderr.columns || undefined;
    },
    env,
    signals: processSignals,
  };
}

function processSignals(listener: (name: NodeJS.Signals) => void): () => void {
  const passed: NodeJS.Signals[] = [
    'SIGTERM',
    'SIGHUP',
    ...(process.stdin.isTTY ? [] : (['SIGINT'] as const)),
  ];
  const onSignal = (name: NodeJS.Signals): void => {
    if (passed.includes(name)) listener(name);
  };
  const names = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;
  for (const name of names) process.on(name, onSignal);
  return () => {
    for (const name of names) process.removeListener(name, onSignal);
  };
}
