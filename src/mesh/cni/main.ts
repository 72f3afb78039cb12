import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { KubeClient } from '#base/kube/client.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { cleanUpFromOutside } from './agent/cleanup-command.js';
import { PluginAccessSource } from './agent/plugin-access.js';
import { runAgent } from './agent/run-agent.js';
import { type AgentConfig, readConfig } from './config.js';

const serviceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The CNI agent. `install-cni` runs it until SIGTERM or SIGINT; `cleanup` takes the
 * mesh off the node and prints a JSON report. Exit codes: 0 fine, 1 failed or something
 * is left, 2 wrong usage or settings.
 */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLogger('cni');
  const [command = 'install-cni', ...rest] = args.filter((arg) => !arg.startsWith('--'));
  const flags = args.filter((arg) => arg.startsWith('--'));
  if (
    rest.length > 0 ||
    flags.some((flag) => !isKnownFlag(flag)) ||
    (command !== 'install-cni' && command !== 'cleanup')
  ) {
    log.error('unknown arguments: expected install-cni or cleanup [--log_output_level=LEVEL]', {
      args: args.join(' '),
    });
    return 2;
  }
  try {
    const config = readConfig(env);
    if (command === 'cleanup') return await cleanUpFromOutside(config, () => KubeClient.inCluster(env));
    const bad = setLogLevel(logLevelOf(flags) ?? config.logLevel, { reset: true });
    if (bad !== undefined) log.warn('part of the log level cannot be read', { part: bad });
    await install(config, env);
    return 0;
  } catch (error) {
    const isMesh = error instanceof MeshError;
    log.error(messageOf(error), {
      ...(isMesh ? { code: error.code } : {}),
      ...(isMesh && error.evidence !== undefined ? { evidence: error.evidence } : {}),
    });
    return isMesh && error.code === 'MESH0708' ? 2 : 1;
  }
}

/** The one flag that upstream's chart passes. */
const logLevelFlag = '--log_output_level=';

function isKnownFlag(flag: string): boolean {
  return flag.startsWith(logLevelFlag);
}

/** Upstream writes `default:info` where we write `info`. */
function logLevelOf(flags: readonly string[]): string | undefined {
  return flags.at(-1)?.slice(logLevelFlag.length).replaceAll('default:', '');
}

async function install(config: AgentConfig, env: NodeJS.ProcessEnv): Promise<void> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
  const client = KubeClient.inCluster(env);
  const access = new PluginAccessSource({
    client,
    server: client.connection.server,
    caFile: `${serviceAccountDir}/ca.crt`,
    tokenFile: `${serviceAccountDir}/token`,
    log: createLogger('install'),
  });
  try {
    await runAgent({ config, client, kubeconfig: () => access.kubeconfig(), signal: stop.signal });
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
    client.close();
  }
}
