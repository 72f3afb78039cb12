import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { meshctlCommand } from './test-user.js';

export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as bytes, for captures. */
  readonly bytes: Buffer;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Milliseconds until the command is killed; default 120 000. */
  readonly timeoutMs?: number;
  /** Told of each piece of standard output as it arrives, with what sends the process a signal. */
  readonly onStdout?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** Told of each piece of standard error as it arrives. */
  readonly onStderr?: (text: string) => void;
}

const timeoutDefaultMs = 120_000;

/** The built command line, as a user runs it; tests and the quickstart start in the project's folder. */
export const meshctlPath = resolve('bin/meshctl.js');

/** Runs meshctl to its end; a non-zero exit is a result. */
export type MeshctlRunner = (args: readonly string[], o?: CommandOptions) => Promise<CommandOutcome>;

/** Runs meshctl as the user of the tests: with MESHCTL_TEST_USER=ordinary one without any rights (test-user.ts). */
export const meshctl: MeshctlRunner = (args, o = {}) => {
  const [program, ...first] = meshctlCommand();
  return command(program, [...first, ...args], o);
};

/** Runs any program to its end; a non-zero exit is a result, a missing program an error. */
export function command(
  program: string,
  args: readonly string[],
  o: CommandOptions = {},
): Promise<CommandOutcome> {
  return new Promise((done, fail) => {
    const child = spawn(program, [...args], {
      env: { ...process.env, NO_COLOR: '1', ...o.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(o.cwd === undefined ? {} : { cwd: o.cwd }),
      timeout: o.timeoutMs ?? timeoutDefaultMs,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      o.onStdout?.(chunk.toString('utf8'), (signal) => child.kill(signal));
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr.push(chunk);
      o.onStderr?.(chunk.toString('utf8'));
    });
    child.on('error', fail);
    child.on('close', (code, signal) => {
      const bytes = Buffer.concat(stdout);
      done({
        exitCode: code ?? (signal === null ? 1 : 128),
        stdout: bytes.toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
        bytes,
      });
    });
    child.stdin.on('error', () => undefined); // the program may not read its input
    child.stdin.end(o.input ?? '');
  });
}
