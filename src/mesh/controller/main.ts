import { messageOf } from '#base/errors/mesh-error.js';
import { KubeClient } from '#base/kube/client.js';
import { createLogger, type Logger, setLogLevel } from '#base/telemetry/log.js';
import { runController } from './controller.js';
import { readSettings } from './settings.js';

/** Entry of the controller; resolves to its exit code after SIGTERM or SIGINT. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLogger('controller');
  try {
    const { settings, ignored } = readSettings(args, env);
    if (settings.logLevel !== undefined) setLogLevel(settings.logLevel.replaceAll('default:', ''));
    if (ignored.length > 0) log.info('flags without a meaning here', { ignored: ignored.join(' ') });
    await runController({ settings, client: KubeClient.inCluster(env), log }, stopSignal(log));
    return 0;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? { code: String(error.code) } : {};
    const evidence =
      error instanceof Error && 'evidence' in error ? { evidence: String(error.evidence) } : {};
    log.error('the controller cannot run', { error: messageOf(error), ...code, ...evidence });
    return 1;
  }
}

function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log.info('stopping', { signal: name });
      controller.abort();
    });
  }
  return controller.signal;
}
