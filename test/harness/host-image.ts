import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import type { TarEntry } from './image-archive.js';

/**
 * The files of a root file system in which some of this machine's programs run: the
 * programs in /bin, their libraries and their loader where they look for them, and
 * nothing else. A merged /usr is not needed, because paths are kept as programs name them.
 */
export function hostPrograms(names: readonly string[]): TarEntry[] {
  const files = new Map<string, string>();
  for (const name of names) {
    const program = execFileSync('/bin/sh', ['-c', 'command -v "$1"', 'sh', name], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
    }).trim();
    files.set(`/bin/${name}`, program);
    const libraries = execFileSync('ldd', [program], { encoding: 'utf8' });
    for (const [, path = ''] of libraries.matchAll(/(?:=>\s*)?(\/\S+) \(0x/g)) files.set(path, path);
  }
  return [...files].map(([target, source]) => ({
    name: target.slice(1),
    mode: 0o755,
    content: readFileSync(realpathSync(source)),
  }));
}
