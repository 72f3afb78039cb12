import { KubeClient } from '#base/kube/client.js';
import { runProgram, withoutLogLevel } from '../process/program.js';
import { cleanUpFromOutside } from './agent/cleanup-command.js';
import { runAgent } from './agent/run-agent.js';
import { type AgentConfig, readAgentConfig } from './config.js';

/**
 * The CNI agent. `install-cni` runs it until SIGTERM or SIGINT; `cleanup` takes the
 * mesh off the node and prints a JSON report. Exit codes: 0 fine, 1 failed or something
 * is left, 2 wrong usage or settings.
 */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runProgram({
    name: 'cni',
    args,
    logLevel: env['LOG_LEVEL'],
    usageCodes: ['MESH0708'],
    run: async ({ signal, log }) => {
      const [command = 'install-cni', ...rest] = withoutLogLevel(args);
      if (rest.length > 0 || (command !== 'install-cni' && command !== 'cleanup')) {
        log.error('unknown arguments: expected install-cni or cleanup [--log_output_level=LEVEL]', {
          args: args.join(' '),
        });
        return 2;
      }
      const config = readAgentConfig(env);
      return command === 'cleanup'
        ? cleanUpFromOutside(config, () => KubeClient.inCluster(env))
        : runInstalled(config, env, signal);
    },
  });
}

async function runInstalled(config: AgentConfig, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  const client = KubeClient.inCluster(env);
  try {
    await runAgent({ config, client, signal });
  } finally {
    client.close();
  }
}
