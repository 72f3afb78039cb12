import { KubeClient } from '#base/kube/client.js';
import { runProgram } from '../process/program.js';
import { runController } from './controller.js';
import { readSettings } from './settings.js';

/** Entry of the controller; resolves to its exit code after SIGTERM or SIGINT. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runProgram({
    name: 'controller',
    args,
    run: async ({ signal, log }) => {
      const { settings, ignored } = readSettings(args, env);
      if (ignored.length > 0) log.info('flags without a meaning here', { ignored: ignored.join(' ') });
      await runController({ settings, client: KubeClient.inCluster(env), log }, signal);
    },
  });
}
