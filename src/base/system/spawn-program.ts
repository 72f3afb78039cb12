import { type ChildProcess, spawn } from 'node:child_process';

/** Starts a program whose output is read; with `isInteractive` it may ask the person at our standard input. */
export function spawnProgram(
  command: string,
  args: readonly string[],
  o: { readonly env: NodeJS.ProcessEnv; readonly isInteractive: boolean },
): ChildProcess {
  return spawn(command, args, {
    stdio: [o.isInteractive ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    env: o.env,
  });
}
