import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { productVersion } from '../telemetry/version.js';
import { readConfig } from './config.js';
import { Ztunnel } from './ztunnel.js';

const log = createLogger('ztunnel');

/** Entry of the node proxy: `proxy ztunnel`. Resolves to the exit code after a graceful shutdown. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (args.includes('version')) {
    process.stdout.write(`${productVersion}\n`);
    return 0;
  }
  const unknown = args.filter((arg, i) => !(i === 0 && arg === 'proxy') && !(i === 1 && arg === 'ztunnel'));
  if (unknown.length > 0) {
    log.error(`unknown arguments ${unknown.join(' ')}, usage: ztunnel [proxy ztunnel]`);
    return 2;
  }
  const badLevel = setLogLevel(env['RUST_LOG'] ?? 'info');
  if (badLevel !== undefined) log.warn('RUST_LOG is not understood, using info', { value: badLevel });
  const shutdown = new AbortController();
  let signalCount = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info('received signal', { signal });
    signalCount++;
    // A second interrupt means that the person does not want to wait for the drain.
    if (signalCount > 1 && signal === 'SIGINT') process.kill(process.pid, 'SIGKILL');
    shutdown.abort(new Error(signal));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    await new Ztunnel(readConfig(env), productVersion).run(shutdown.signal);
    log.info('shutdown complete');
    return 0;
  } catch (error) {
    log.error('stopping', {
      code: error instanceof MeshError ? error.code : undefined,
      error: messageOf(error),
    });
    return 1;
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
}
