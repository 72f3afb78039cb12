import { runProgram, withoutLogLevel } from '../process/program.js';
import { productVersion } from '../telemetry/version.js';
import { readZtunnelConfig } from './config.js';
import { Ztunnel } from './ztunnel.js';

/** Entry of the node proxy: `proxy ztunnel`. Resolves to the exit code after a graceful shutdown. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return runProgram({
    name: 'ztunnel',
    args,
    logLevel: env['RUST_LOG'],
    run: async ({ signal, log }) => {
      const unknown = withoutLogLevel(args).filter(
        (arg, i) => !(i === 0 && arg === 'proxy') && !(i === 1 && arg === 'ztunnel'),
      );
      if (unknown.length > 0) {
        log.error(`unknown arguments ${unknown.join(' ')}, usage: ztunnel [proxy ztunnel]`);
        return 2;
      }
      return new Ztunnel(readZtunnelConfig(env), productVersion).run(signal);
    },
  });
}
