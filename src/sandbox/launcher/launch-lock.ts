import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { type FileLock, tryLockFile } from '../base/file-lock.js';
import { filesError } from '../supervisor/files-error.js';

const retryMs = 50;

export interface LaunchLockOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called at each look at a lock that somebody else holds. */
  readonly onTaken?: () => void;
}

/** The file of a sandbox's lock; it is there while somebody holds it, or after he was killed. */
export function lockPath(folder: string): string {
  return `${folder}.lock`;
}

/**
 * Runs `work` while no other process of this user starts or removes the same sandbox. The lock of a process
 * that was killed is free. Throws MESH0806 when it is not free within `timeoutMs`, MESH0814 when it cannot be made.
 */
export async function withLaunchLock<T>(
  folder: string,
  o: LaunchLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const path = lockPath(folder);
  const deadlineMs = Date.now() + o.timeoutMs;
  let lock: FileLock | undefined;
  for (;;) {
    o.signal?.throwIfAborted();
    try {
      await makeBaseFolder(dirname(path));
      lock = tryLockFile(path);
    } catch (error) {
      throw filesError(error, path) ?? error;
    }
    if (lock !== undefined) break;
    o.onTaken?.();
    if (Date.now() > deadlineMs)
      throw new MeshError('MESH0806', 'another meshctl is working on the same sandbox', {
        evidence: `lock ${path}`,
      });
    await delay(retryMs);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/** With the true reason when it cannot: where the disk is read-only, Node only says that the folder is not there. */
async function makeBaseFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    let missing = folder;
    while (!existsSync(dirname(missing))) missing = dirname(missing);
    await mkdir(missing, { mode: 0o700 });
    throw error; // somebody removes folders while we make them
  }
}
