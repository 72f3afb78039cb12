import { lstat, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const linksMax = 40;

/**
 * The real place, below `root`, of a path inside a file system that is not this
 * process's own: links are followed as its owner would follow them, and never lead out.
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

/** As {@link resolveInside}, as this process reaches it. */
export async function pathInside(root: string, path: string): Promise<string> {
  return join(root, await resolveInside(root, path));
}
