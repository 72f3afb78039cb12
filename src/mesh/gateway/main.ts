import { runProgram } from '../process/program.js';
import { readGatewayConfig } from './config.js';
import { WaypointProxy } from './waypoint.js';

/** Entry of the L7 proxy: `proxy waypoint`. Resolves to the exit code after a graceful shutdown. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runProgram({
    name: 'waypoint',
    args,
    run: ({ signal }) => new WaypointProxy(readGatewayConfig(args, env)).run(signal),
  });
}
