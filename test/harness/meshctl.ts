import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

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
  /** Milliseconds until the command is killed; default 120 000. */
  readonly timeoutMs?: number;
  /** Told of each piece of standard error as it arrives. */
  readonly onStderr?: (text: string) => void;
}

const timeoutDefaultMs = 120_000;

/** The built command line, as a user runs it; tests and the quickstart start in the project's folder. */
export const meshctlPath = resolve('bin/meshctl.js');

/** Runs meshctl to its end as some user; a non-zero exit is a result. */
export type MeshctlRunner = (args: readonly string[], o?: CommandOptions) => Promise<CommandOutcome>;

/** Runs meshctl as the user of the tests. */
export const meshctl: MeshctlRunner = (args, o = {}) => command(process.execPath, [meshctlPath, ...args], o);

/** Debian's `nobody`: owns nothing and may do nothing. */
const ordinaryUserId = 65_534;

/**
 * Runs meshctl as a user without any rights, also when the tests run as root. The program is copied to a folder
 * that user can read; the folder of the project may be anybody's.
 */
export function ordinaryUser(): { readonly run: MeshctlRunner; readonly forget: () => void } {
  if (process.getuid?.() !== 0) return { run: meshctl, forget: () => undefined };
  const copy = mkdtempSync(join(tmpdir(), 'meshctl-program-'));
  chmodSync(copy, 0o755);
  for (const part of [
    'package.json',
    'bin',
    'dist',
    'templates',
    'node_modules/koffi',
    'node_modules/@koromix',
  ]) {
    cpSync(part, join(copy, part), { recursive: true });
  }
  const drop = [`--reuid=${ordinaryUserId}`, `--regid=${ordinaryUserId}`, '--clear-groups', '--'];
  return {
    run: (args, o = {}) =>
      command('setpriv', [...drop, process.execPath, join(copy, 'bin/meshctl.js'), ...args], o),
    forget: () => rmSync(copy, { recursive: true, force: true }),
  };
}

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
      timeout: o.timeoutMs ?? timeoutDefaultMs,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
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
