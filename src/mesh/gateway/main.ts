import { runProgram } from '../process/program.js';
import { readConfig } from './config.js';
import { Waypoint } from './waypoint.js';

/** Entry of the L7 proxy: `proxy waypoint`. Resolves to the exit code after a graceful shutdown. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runProgram({
    name: 'waypoint',
    args,
    run: ({ signal }) => new Waypoint(readConfig(args, env)).run(signal),
  });
}
