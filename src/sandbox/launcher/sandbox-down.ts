import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { childrenOf, signalProcess } from '../node/host/process-tree.js';
import { filesError } from '../supervisor/files-error.js';
import { type SandboxPaths, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { requestShutdown, supervisorStatus } from './control-client.js';
import { systemPath } from './host/programs.js';
import { removeContext } from './kubeconfig-file.js';
import { lockPath, withLaunchLock } from './launch-lock.js';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.js';
import { isRunning, readRecord, type SandboxRecord, writeRecord } from './sandbox-record.js';

const shutdownMs = 5_000;
const killMs = 10_000;
const pollMs = 20;
const lockMs = 60_000;

export interface SandboxDownOptions {
  readonly name: string;
  /** Remove what `up --persist` asked to keep as well. */
  readonly purge?: boolean | undefined;
}

/** `stopped`: its objects, keys and disks are kept for the next `up`. */
export type SandboxDownResult = 'absent' | 'removed' | 'stopped';

/**
 * Ends a sandbox and removes all it made, except for what a persistent one keeps; one that crashed is cleaned
 * up the same way, and one that is just starting is stopped.
 */
export async function sandboxDown(o: SandboxDownOptions): Promise<SandboxDownResult> {
  const paths = sandboxPaths(o.name);
  // A meshctl that was killed may have left its lock and nothing else.
  if (!existsSync(paths.folder) && !existsSync(lockPath(paths.folder))) return 'absent';
  const lock = {
    timeoutMs: lockMs,
    // Somebody waits for it to become ready; without its processes that ends at once.
    onTaken: () => killProcesses(readRecord(paths)),
  };
  return withLaunchLock(paths.folder, lock, () =>
    downLocked(paths, o).catch((error: unknown) => {
      throw filesError(error, paths.folder) ?? error;
    }),
  );
}

async function downLocked(paths: SandboxPaths, o: SandboxDownOptions): Promise<SandboxDownResult> {
  if (!existsSync(paths.folder)) return 'absent';
  const record = readRecord(paths);
  const isKept = record?.isPersistent === true && o.purge !== true;
  if (record !== undefined && isRunning(record)) {
    if (isKept) await assertStateKept(paths);
    await requestShutdown(paths);
  }
  if (!isKept) {
    await removeRemains(paths, record);
    return 'removed';
  }
  await keepRemains(paths, record);
  return 'stopped';
}

/** Ends what still runs and removes files and the kubeconfig context. */
export async function removeRemains(paths: SandboxPaths, record: SandboxRecord | undefined): Promise<void> {
  if (record?.process !== undefined) await endProcesses(record.process);
  await withoutContext(paths, record, async () => {
    await rm(paths.control, { force: true });
    await removeFolder(paths.folder);
  });
}

/** Ends what still runs; what the sandbox keeps stays. */
export async function keepRemains(paths: SandboxPaths, record: SandboxRecord): Promise<void> {
  if (record.process !== undefined) await endProcesses(record.process);
  await withoutContext(paths, record, async () => {
    for (const path of [paths.control, paths.config]) await rm(path, { force: true });
    await removeFolder(paths.packageRoot);
    const { process: _ended, mergedKubeconfig: _merged, previousContext: _previous, ...kept } = record;
    await writeRecord(paths, kept);
  });
}

/** Takes the context out of the kubeconfig, then does the rest; one that cannot be edited is said at the end. */
async function withoutContext(
  paths: SandboxPaths,
  record: SandboxRecord | undefined,
  rest: () => Promise<void>,
): Promise<void> {
  let failure: unknown;
  if (record?.mergedKubeconfig !== undefined) {
    const context = `sandbox-${paths.name}`;
    await removeContext(record.mergedKubeconfig, context, record.previousContext).catch((error: unknown) => {
      failure = error;
    });
  }
  await rest();
  if (failure !== undefined) throw failure;
}

/**
 * Ends the sandbox's first process, and with it all of them: it is the parent of pid 1 of their namespace,
 * which the kernel lets go only when nothing else is left in it.
 */
async function endProcesses(first: ProcessIdentity): Promise<void> {
  if (!isAlive(first)) return;
  const all = [first, ...childrenOf(first.pid).flatMap((pid) => identifyProcess(pid) ?? [])];
  const haveEnded = async (withinMs: number): Promise<boolean> => {
    const deadlineMs = Date.now() + withinMs;
    while (all.some(isAlive)) {
      if (Date.now() > deadlineMs) return false;
      await delay(pollMs);
    }
    return true;
  };
  if (await haveEnded(shutdownMs)) return;
  for (const { pid } of all.filter(isAlive)) signalProcess(pid, 'SIGKILL');
  if (!(await haveEnded(killMs)))
    throw new MeshError('MESH0815', `process ${first.pid} of sandbox does not end`, {
      hint: 'The machine may be out of memory, or the process waits for a disk; try again.',
    });
}

/** Throws MESH0814 when stopping would lose what is not on the disk. */
async function assertStateKept(paths: SandboxPaths): Promise<void> {
  const status = await supervisorStatus(paths);
  if (status?.isStateKept !== false) return;
  throw new MeshError(
    'MESH0814',
    `the latest objects of sandbox ${paths.name} cannot be written to the disk`,
    {
      evidence: `folder ${paths.data}`,
      hint: `make room there; it is tried again every few seconds. To give them up: meshctl sandbox down --purge --name ${paths.name}`,
    },
  );
}

function killProcesses(record: SandboxRecord | undefined): void {
  if (record !== undefined && isRunning(record)) signalProcess(record.process.pid, 'SIGKILL');
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
