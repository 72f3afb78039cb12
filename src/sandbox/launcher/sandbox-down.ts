import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '../../errors/mesh-error.js';
import { run } from '../../system/run.js';
import { type SandboxPaths, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { requestShutdown } from './control-client.js';
import { systemPath } from './host-check.js';
import { removeContext } from './kubeconfig-file.js';
import { withLaunchLock } from './launch-lock.js';
import { isAlive } from './process-identity.js';
import { isRunning, readRecord, type SandboxRecord } from './sandbox-record.js';

const shutdownMs = 5_000;
const killMs = 10_000;
const pollMs = 20;
const lockMs = 60_000;

export interface SandboxDownOptions {
  readonly name: string;
  /** Remove kept cluster data as well (nothing is kept yet, so it changes nothing). */
  readonly purge?: boolean | undefined;
}

/**
 * Ends a sandbox and removes all it made; one that crashed is cleaned up the same
 * way. Resolves to false when there was nothing of that name.
 */
export async function sandboxDown(o: SandboxDownOptions): Promise<boolean> {
  const paths = sandboxPaths(o.name);
  if (!existsSync(paths.folder)) return false;
  return withLaunchLock(paths.folder, { timeoutMs: lockMs, signal: undefined }, async () => {
    const record = readRecord(paths);
    if (record !== undefined && isRunning(record)) await requestShutdown(paths);
    await removeRemains(paths, record);
    return true;
  });
}

/** Ends what still runs and removes files and the kubeconfig context. */
export async function removeRemains(paths: SandboxPaths, record: SandboxRecord | undefined): Promise<void> {
  if (record !== undefined) {
    await endProcesses(record);
    if (record.mergedKubeconfig !== undefined)
      await removeContext(record.mergedKubeconfig, `sandbox-${paths.name}`, record.previousContext);
  }
  await rm(paths.control, { force: true });
  await removeFolder(paths.folder);
}

/** The first process of the sandbox is the parent of its pid namespace: killing it kills all of them. */
async function endProcesses({ process: first }: SandboxRecord): Promise<void> {
  const hasEnded = async (withinMs: number): Promise<boolean> => {
    const deadlineMs = Date.now() + withinMs;
    while (isAlive(first)) {
      if (Date.now() > deadlineMs) return false;
      await delay(pollMs);
    }
    return true;
  };
  if (await hasEnded(isAlive(first) ? shutdownMs : 0)) return;
  process.kill(first.pid, 'SIGKILL');
  if (!(await hasEnded(killMs)))
    throw new MeshError('MESH0805', `process ${first.pid} of the sandbox does not end`);
}

async function removeFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    // A container may have left folders without write permission. Root of a user
    // namespace may remove them; root of the machine needed no second try.
    const result = await run(
      'unshare',
      ['--user', '--map-root-user', 'rm', '-rf', '--one-file-system', folder],
      {
        env: { PATH: systemPath() },
      },
    );
    if (result.exitCode !== 0) throw error;
  }
}
