import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { childrenOf, exitCodeOfSignal, signalProcess } from '../../host/process-tree.js';
import type { RunningContainer } from '../../runtime/container.js';
import { dropPrivileges, withHelpers } from '../../runtime/container-config.js';
import { ExecutableMissingError, requireExecutable } from './find-executable.js';

/** A command cannot be run because the container does not run. */
export class ContainerNotRunningError extends Error {
  override readonly name = 'ContainerNotRunningError';
}

/** What a shell ends with when it finds no such command. */
const missingCode = 127;
const outputMaxBytes = 64 * 1024;
/** What a timer of Node.js takes. */
const timerMaxMs = 2 ** 31 - 1;
/** An orphan may keep the pipes open after the command itself ended; its output is no longer waited for. */
const drainMaxMs = 2_000;

/** The command line that joins the container's namespaces with its user, variables and folder; `session` goes before all else. */
export function enterCommand(
  container: RunningContainer,
  command: readonly string[],
  session: readonly string[] = [],
): { file: string; args: string[]; env: Record<string, string> } {
  const pid = container.initPid;
  if (pid === undefined) throw new ContainerNotRunningError('the container is not running');
  const args = ['--target', String(pid), '--mount', '--uts', '--ipc', '--net', '--pid'];
  args.push(`--wd=/proc/${pid}/cwd`, '--');
  // Joining needs more than the container may have; a helper inside takes that away again.
  const helpers = [...session, ...dropPrivileges(container.config)];
  const inside = withHelpers(container.config.env, helpers, command);
  return { file: '/usr/bin/nsenter', args: [...args, ...inside.command], env: { ...inside.env } };
}

/** Starts a command in a running container. Throws {@link ContainerNotRunningError}. */
export function spawnInContainer(
  container: RunningContainer,
  command: readonly string[],
  stdio: StdioOptions,
): ChildProcess {
  const { file, args, env } = enterCommand(container, command);
  return spawn(file, args, { stdio, env });
}

/** Kills what {@link spawnInContainer} started: the command itself, not only its way in. */
export function killInContainer(child: ChildProcess): void {
  if (child.pid === undefined) return;
  for (const pid of childrenOf(child.pid)) signalProcess(pid, 'SIGKILL');
  child.kill('SIGKILL');
}

/** Resolves to the exit code once the command has ended and its output has been read. */
export async function exitCodeOfChild(child: ChildProcess): Promise<number> {
  const closed = once(child, 'close').catch(() => undefined); // a failed start is reported by the next line
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  for (;;) {
    const before = bytesRead(child);
    const isClosed = await Promise.race([closed.then(() => true), delay(drainMaxMs, false)]);
    if (isClosed || bytesRead(child) === before) break;
  }
  return code ?? exitCodeOfSignal(signal);
}

/**
 * Runs a command to its end, for probes and hooks. A timeout kills it and counts as exit
 * code 124, as does an abort, which rejects nothing either.
 */
export async function runInContainer(
  container: RunningContainer,
  command: readonly string[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<{ exitCode: number; output: string }> {
  try {
    await requireExecutable(container, command[0] ?? '');
  } catch (error) {
    if (!(error instanceof ExecutableMissingError)) throw error;
    return { exitCode: missingCode, output: error.message };
  }
  const child = spawnInContainer(container, command, ['ignore', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      if (output.length < outputMaxBytes) output += data.toString();
    });
  }
  let hasTimedOut = false;
  const { promise: cut, resolve: cutShort } = deferred<number>();
  const stop = (): void => {
    hasTimedOut = true;
    killInContainer(child);
    cutShort(124);
  };
  const timer = setTimeout(stop, Math.min(timeoutMs, timerMaxMs));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const exitCode = await Promise.race([exitCodeOfChild(child), cut]);
    return {
      exitCode,
      output: hasTimedOut ? `command ${JSON.stringify(command.join(' '))} timed out` : output,
    };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

function bytesRead(child: ChildProcess): number {
  const count = (stream: unknown): number =>
    typeof stream === 'object' && stream !== null && 'bytesRead' in stream ? Number(stream.bytesRead) : 0;
  return count(child.stdout) + count(child.stderr);
}
