import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { openTerminal, resizeTerminal } from '../../../system/terminal.js';
import type { ContainerIo } from '../../apiserver/kubelet-gateway.js';
import { enterCommand, exitCodeOf, killInContainer } from '../kubelet/container-process.js';
import type { Container } from '../runtime/container.js';

const drainMaxMs = 1_000;

/** Runs a command on a terminal of its own, sized as the client's window; resolves to its exit code. */
export async function execWithTerminal(
  container: Container,
  command: readonly string[],
  { io, signal }: { io: ContainerIo; signal: AbortSignal },
): Promise<number> {
  const { file, args, env } = enterCommand(container, command);
  // From the container's own device file system, so that the terminal has a name in there.
  const multiplexer = `/proc/${container.initPid}/root/dev/pts/ptmx`;
  const terminal = openTerminal(existsSync(multiplexer) ? multiplexer : undefined);
  // setsid makes the command the leader of a session whose terminal this is: job control and Ctrl-C work.
  const child = spawn('/usr/bin/setsid', ['--ctty', '--wait', file, ...args], {
    stdio: [terminal.slaveFd, terminal.slaveFd, terminal.slaveFd],
    env: { TERM: 'xterm', ...env },
  });
  closeSync(terminal.slaveFd);
  const master = new ReadStream(terminal.masterFd);
  master.on('error', () => undefined); // EIO: every process on the terminal has closed it
  master.pipe(io.stdout, { end: false });
  io.stdin?.pipe(master, { end: false });
  io.onResize(({ columns, rows }) => {
    if (!master.destroyed) resizeTerminal(terminal.masterFd, { columns, rows });
  });
  const onAbort = (): void => killInContainer(child);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const exitCode = await exitCodeOf(child);
    // The terminal may still hold output; its end is reported as a hang-up.
    if (!master.destroyed)
      await once(master, 'close', { signal: AbortSignal.timeout(drainMaxMs) }).catch(() => undefined);
    return exitCode;
  } finally {
    signal.removeEventListener('abort', onAbort);
    master.destroy();
  }
}
