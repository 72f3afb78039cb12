import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { readConfig } from './config.js';
import { Waypoint } from './waypoint.js';

const log = createLogger('waypoint');

/** Entry of the L7 proxy: `proxy waypoint`. Resolves to the exit code after a graceful shutdown. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const level = levelOf(args);
  if (level !== undefined && setLogLevel(level) !== undefined)
    log.warn('the log level is not understood', { level });
  const shutdown = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info('received signal', { signal });
    shutdown.abort(new Error(signal));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    await new Waypoint(readConfig(args, env)).run(shutdown.signal);
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

/** `--log_output_level default:info,http:debug`; upstream's scope `default` is everything. */
function levelOf(args: readonly string[]): string | undefined {
  const at = args.indexOf('--log_output_level');
  return at < 0 ? undefined : args[at + 1]?.replaceAll('default:', '');
}
