import { Readable } from 'node:stream';
import { runCli } from '#cli/main.js';

/** What an invocation printed, and its exit code. */
export interface Invocation {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs meshctl in this process as a pipeline would: without a terminal, and with `env` for its environment. Whoever
 * runs the tests may have a kubeconfig at home: it is none of theirs.
 */
export async function runInProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Invocation> {
  let stdout = '';
  let stderr = '';
  const io = {
    stdin: Readable.from([]),
    stdout: (text: string) => void (stdout += text),
    stderr: (text: string) => void (stderr += text),
    isInteractive: false,
    isStdoutTty: false,
    signals: () => () => undefined,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
  };
  const code = await runCli({ args, io, signal: new AbortController().signal });
  return { code, stdout, stderr };
}
