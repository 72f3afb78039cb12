import { chmod, chown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseQuantity } from '../../base/quantity.js';
import { makeFolder } from '../host/make-folder.js';
import type { NodeHost } from '../host/node-host.js';
import type { KubeletVolume } from '../model/pod.js';
import { VolumeError } from './volume-content.js';

type EmptyDir = NonNullable<KubeletVolume['emptyDir']>;

/** Makes an emptyDir volume at `path` on the node: a folder, or a memory file system of the limit's size. */
export async function prepareEmptyDir(
  host: NodeHost,
  path: string,
  { emptyDir, group }: { emptyDir: EmptyDir; group: number | undefined },
): Promise<void> {
  const seen = host.path(path);
  await makeFolder(seen);
  if (emptyDir.medium === 'Memory') await mountMemory(host, path, parseQuantity(emptyDir.sizeLimit));
  else if ((emptyDir.medium ?? '') !== '')
    throw new VolumeError(`emptyDir medium ${emptyDir.medium} is not available on the nodes of a sandbox`);
  if (group !== undefined) await chown(seen, 0, group);
  // A memory file system is born like /tmp: only its owner removes a file.
  const mode = emptyDir.medium === 'Memory' ? 0o1777 : 0o777;
  await chmod(seen, group === undefined ? mode : mode | 0o2000);
}

/** Unmounts what {@link prepareEmptyDir} mounted. */
export async function releaseEmptyDir(host: NodeHost, path: string): Promise<void> {
  await host.run(['umount', '-l', path]);
}

async function mountMemory(host: NodeHost, path: string, sizeBytes: number | undefined): Promise<void> {
  const size = sizeBytes === undefined || sizeBytes === 0 ? [] : [`size=${Math.ceil(sizeBytes)}`];
  const options = ['nosuid', 'nodev', 'mode=1777', ...size].join(',');
  const script = 'mountpoint -q "$2" || mount -t tmpfs -o "$1" tmpfs "$2"';
  const { exitCode, stderr } = await host.run(['sh', '-c', script, 'sh', options, path]);
  if (exitCode !== 0) throw new VolumeError(`a memory file system could not be mounted: ${stderr.trim()}`);
}

/** Bytes that a folder tree takes on disk; a tree that changes meanwhile is measured as well as can be. */
export async function diskUsage(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const stats = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    total += (stats?.blocks ?? 0) * 512;
  }
  return total;
}
