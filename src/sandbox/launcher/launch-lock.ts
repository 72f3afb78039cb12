import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '../../errors/mesh-error.js';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.js';

const retryMs = 50;

/**
 * Runs `work` while no other process of this user starts or removes the same
 * sandbox. A lock whose holder has died is taken over. Throws MESH0806 when it is not
 * free within `timeoutMs`.
 */
export async function withLaunchLock<T>(
  folder: string,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const path = `${folder}.lock`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const deadlineMs = Date.now() + timeoutMs;
  while (!(await take(path))) {
    signal?.throwIfAborted();
    if (Date.now() > deadlineMs)
      throw new MeshError('MESH0806', 'another meshctl is working on the same sandbox', {
        evidence: `lock ${path}`,
      });
    await delay(retryMs);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  const self = identifyProcess(process.pid);
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(JSON.stringify(self ?? {}));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (!(await isStale(path))) return false;
  await rm(path, { force: true });
  return false; // the next round takes it, or finds somebody who was faster
}

async function isStale(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    // Written by take in this very shape.
    const holder = JSON.parse(text) as Partial<ProcessIdentity>;
    if (holder.pid === undefined || holder.startTicks === undefined) return false;
    return !isAlive({ pid: holder.pid, startTicks: holder.startTicks });
  } catch {
    return false; // being written, or already gone
  }
}
