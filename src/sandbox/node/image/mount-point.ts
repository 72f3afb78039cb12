import { lstat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { makeFolder } from '../host/make-folder.js';
import { resolveInside } from '../host/path-inside.js';

/**
 * Makes the place a volume will be mounted at, readable by every user of the
 * container (bubblewrap would make it for root alone). Returns the resolved path.
 */
export async function makeMountPoint(root: string, target: string, kind: 'folder' | 'file'): Promise<string> {
  const inside = await resolveInside(root, target);
  const path = join(root, inside);
  if (relative(root, path) === '') return inside;
  if (kind === 'folder') await makeFolder(path);
  else {
    await makeFolder(dirname(path));
    if ((await lstat(path).catch(() => undefined)) === undefined) await writeFile(path, '', { mode: 0o644 });
  }
  return inside;
}
