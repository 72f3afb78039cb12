import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { ContainerIo } from '../../base/kubelet-gateway.js';
import { enterCommand, exitCodeOfChild, killInContainer } from '../kubelet/container/container-process.js';
import type { RunningContainer } from '../runtime/container.js';
import { leadSession, spawnOnTerminal } from '../runtime/terminal-stream.js';

const drainMaxMs = 1_000;

/** Runs a command on a terminal of its own, sized as the client's window; resolves to its exit code. */
export async function execWithTerminal(
  container: RunningContainer,
  command: readonly string[],
  { io, signal }: { io: ContainerIo; signal: AbortSignal },
): Promise<number> {
  const { file, args, env } = enterCommand(container, command, leadSession);
  // From the container's own device file system, so that the terminal has a name in there.
  const multiplexer = `/proc/${container.initPid}/root/dev/pts/ptmx`;
  const { child, terminal } = spawnOnTerminal(file, args, {
    env: { TERM: 'xterm', ...env },
    multiplexer: existsSync(multiplexer) ? multiplexer : undefined,
  });
  const { stream } = terminal;
  stream.pipe(io.stdout, { end: false });
  io.stdin?.pipe(stream, { end: false });
  io.onResize((size) => terminal.resize(size));
  const onAbort = (): void => killInContainer(child);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const exitCode = await exitCodeOfChild(child);
    // The terminal may still hold output; its end is reported as a hang-up.
    if (!stream.destroyed)
      await once(stream, 'close', { signal: AbortSignal.timeout(drainMaxMs) }).catch(() => undefined); // an orphan holds it
    return exitCode;
  } finally {
    signal.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}
