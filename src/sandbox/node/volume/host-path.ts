import type { Stats } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../host/make-folder.js';
import type { NodeHost } from '../host/node-host.js';
import { resolveInside } from '../host/path-inside.js';
import { VolumeError } from './volume-content.js';

/** What each type of hostPath volume asks of the path, and how kubelet calls it when it is not so. */
const checks: Readonly<Record<string, { name: string; isMet: (found: Stats) => boolean }>> = {
  Directory: { name: 'a directory', isMet: (found) => found.isDirectory() },
  DirectoryOrCreate: { name: 'a directory', isMet: (found) => found.isDirectory() },
  File: { name: 'a file', isMet: (found) => found.isFile() },
  FileOrCreate: { name: 'a file', isMet: (found) => found.isFile() },
  Socket: { name: 'a socket file', isMet: (found) => found.isSocket() },
  CharDevice: { name: 'a character device', isMet: (found) => found.isCharacterDevice() },
  BlockDevice: { name: 'a block device', isMet: (found) => found.isBlockDevice() },
};

/**
 * Checks, or makes, what a hostPath volume names on the node's file system. Returns
 * the path with the node's links resolved, which never lead out of the node. Throws
 * {@link VolumeError} in kubelet's words.
 */
export async function prepareHostPath(
  host: NodeHost,
  { path, type = '' }: { path: string; type?: string },
): Promise<string> {
  const root = host.path('/');
  const inside = await resolveInside(root, path);
  const seen = join(root, inside);
  const found = await stat(seen).catch(() => undefined);
  if (found === undefined) {
    // A type-less path that does not exist is made a folder by container runtimes.
    if (type === 'DirectoryOrCreate' || type === '') await makeFolder(seen);
    else if (type === 'FileOrCreate')
      await writeFile(seen, '').catch((error: Error) => {
        throw new VolumeError(`hostPath type check failed: ${path} cannot be created: ${error.message}`);
      });
    else throw new VolumeError(`hostPath type check failed: ${path} is not ${checks[type]?.name ?? type}`);
    return inside;
  }
  const check = checks[type];
  if (check?.isMet(found) === false)
    throw new VolumeError(`hostPath type check failed: ${path} is not ${check.name}`);
  return inside;
}
