import { readFileSync } from 'node:fs';
import { messageOf } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { createLogger, setLogLevel, setLogOutput } from '#base/telemetry/log.js';
import { capture } from './capture/capture.js';
import { boundedLog } from './supervisor/bounded-log.js';
import type { SupervisorConfig } from './supervisor/sandbox-config.js';
import { Supervisor } from './supervisor/supervisor.js';

const standardOutput = 1;

/**
 * Entry of the programs that run inside a sandbox's namespaces: `supervisor CONFIG_FILE`, which ends with
 * the sandbox (exit code 1 when it could not start), and `capture INTERFACE [SECONDS]` on a node.
 */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [command, argument, seconds] = args;
  if (command === 'capture' && argument !== undefined) return runCapture(argument, seconds);
  if (command === 'supervisor' && argument !== undefined) return runSupervisor(argument, env);
  process.stderr.write('started by meshctl: sandbox supervisor CONFIG_FILE | capture INTERFACE [SECONDS]\n');
  return 2;
}

async function runCapture(interfaceName: string, seconds: string | undefined): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  try {
    const missedCount = await capture({
      interfaceName,
      seconds: seconds === undefined ? undefined : Number(seconds),
      signal: stop.signal,
      out: standardOutput,
      onListening: () => process.stderr.write(`listening on ${interfaceName}\n`),
    });
    if (missedCount === 0) return 0;
    process.stderr.write(`the capture is incomplete: ${missedCount} frames were missed\n`);
    return 1;
  } catch (error) {
    process.stderr.write(`no capture on ${interfaceName}: ${messageOf(error)}\n`);
    return 1;
  }
}

async function runSupervisor(configFile: string, env: NodeJS.ProcessEnv): Promise<number> {
  // The modes of volumes and mount points must not depend on who starts the sandbox.
  process.umask(0o022);
  // The launcher opened a file for it. Node's own warnings go there as well.
  setLogOutput(boundedLog(standardOutput));
  process.stderr.on('error', () => undefined);
  setLogLevel(env['MESHCTL_SANDBOX_LOG'] ?? 'info');
  const logger = createLogger('supervisor');
  // One failed request must not take a whole cluster down; what is lost is said.
  process.on('unhandledRejection', (reason) =>
    logger.error('unhandled rejection', {
      error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
    }),
  );
  // Written by the launcher in this very shape.
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as SupervisorConfig;
  await makeRunPrivate(config);
  const supervisor = new Supervisor(config);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => supervisor.close());
  try {
    await supervisor.start();
  } catch (error) {
    logger.error('sandbox could not be started', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    // It stays to say what failed until it is asked to end.
    if (!supervisor.isReachable) return 1;
  }
  await supervisor.closed();
  // The state is written, and everything else ends with this process: its parent, pid 1 of
  // the namespace, ends when it does. Winding down watches and containers would only take time.
  process.kill(process.pid, 'SIGKILL');
  return 0;
}

/** Programs keep locks in /run, where an ordinary user may not write: the sandbox has its own. */
async function makeRunPrivate(config: SupervisorConfig): Promise<void> {
  const needed = [config.folder, config.nodeBinary, config.assetsFolder ?? ''];
  if (needed.some((path) => path.startsWith('/run/'))) return;
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=0755,size=16m', 'tmpfs', '/run']);
}
