/** The terminal and environment a command sees; tests hand in their own. */
export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** stdin and stderr are terminals: questions may be asked, progress may be animated. */
  readonly isInteractive: boolean;
  readonly isStdoutTty: boolean;
  readonly env: NodeJS.ProcessEnv;
}

/** The process's own streams. */
export function processIo(env: NodeJS.ProcessEnv): Io {
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isInteractive: process.stdin.isTTY && process.stderr.isTTY,
    isStdoutTty: process.stdout.isTTY,
    env,
  };
}
