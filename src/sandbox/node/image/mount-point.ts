import { lstat, readlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { makeFolder } from '../host/make-folder.js';

const linksMax = 40;

/**
 * The real place, below `root`, of a path inside a file system that is not mounted
 * yet: links are followed as the container would follow them, and never lead out.
 */
export async function resolveInside(root: string, path: string): Promise<string> {
  let rest = path.split('/').filter(Boolean);
  let current = '/';
  for (let links = 0; rest.length > 0; ) {
    const [name = '', ...after] = rest;
    rest = after;
    if (name === '.') continue;
    if (name === '..') {
      current = dirname(current);
      continue;
    }
    const next = join(current, name);
    const stats = await lstat(join(root, next)).catch(() => undefined);
    if (stats?.isSymbolicLink() !== true) {
      current = next;
      continue;
    }
    links += 1;
    if (links > linksMax) throw new Error(`too many symbolic links in ${path}`);
    const target = await readlink(join(root, next));
    rest = [...target.split('/').filter(Boolean), ...rest];
    if (target.startsWith('/')) current = '/';
  }
  return current;
}

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
