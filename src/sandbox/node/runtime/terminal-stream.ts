import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { openTerminal, resizeTerminal } from '../../base/terminal.js';
import { helperCommand } from './helper-programs.js';

/** Our end of a pseudo terminal: what is written is typed, what is read is shown. */
export interface TerminalStream {
  readonly stream: ReadStream;
  resize(size: { columns: number; rows: number }): void;
}

/** Makes a program the leader of a session that owns its terminal: job control and Ctrl-C then work. */
export const leadSession: readonly string[] = helperCommand('setsid', '--ctty', '--wait');

/**
 * Starts a program on a new terminal. The session is led from inside the container
 * ({@link leadSession} as part of the command), because a leader outside its pid
 * namespace could not be named there. `multiplexer` is the ptmx of the device file
 * system the terminal should belong to; `pipes` of them are the program's fds from 3 on.
 */
export function spawnOnTerminal(
  file: string,
  args: readonly string[],
  {
    env,
    multiplexer,
    pipes = 0,
  }: { env: Record<string, string>; multiplexer?: string | undefined; pipes?: number },
): { child: ChildProcess; terminal: TerminalStream } {
  const { masterFd, slaveFd } = openTerminal(multiplexer);
  const stdio = [slaveFd, slaveFd, slaveFd, ...Array.from({ length: pipes }, () => 'pipe' as const)];
  const child = spawn(file, args, { stdio, env });
  closeSync(slaveFd);
  const stream = new ReadStream(masterFd);
  stream.on('error', () => stream.destroy()); // EIO: every process on the terminal has closed it
  return {
    child,
    terminal: {
      stream,
      resize: (size) => {
        if (!stream.destroyed) resizeTerminal(masterFd, size);
      },
    },
  };
}
