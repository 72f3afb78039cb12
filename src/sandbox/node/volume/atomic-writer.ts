import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { makeFolder } from '../host/make-folder.js';

/** One file of a volume. */
export interface VolumeFile {
  readonly content: Buffer;
  /** Permission bits. */
  readonly mode: number;
}

const dataLink = '..data';

/**
 * Puts `files` (relative path -> file) into a folder so that a reader sees either
 * all old or all new content: they are written to a new folder, and the link
 * `..data`, through which every visible name leads, is replaced in one step. This is
 * kubelet's layout, which inotify-based readers depend on. Returns whether anything changed.
 */
export async function writeVolumeFiles(
  folder: string,
  files: ReadonlyMap<string, VolumeFile>,
  { group }: { group?: number | undefined } = {},
): Promise<boolean> {
  for (const path of files.keys()) {
    if (path.startsWith('/') || normalize(path).startsWith('..'))
      throw new Error(`invalid path in volume: ${path}`);
  }
  await makeFolder(folder);
  const old = await readlink(join(folder, dataLink)).catch(() => undefined);
  if (old !== undefined && (await isSame(join(folder, old), files, group))) return false;

  const stamp = new Date().toISOString().replace(/[-:.TZ]/g, '_');
  const version = `..${stamp}.${Math.floor(Math.random() * 1e9)}`;
  await mkdir(join(folder, version), { mode: 0o755 });
  for (const [path, file] of files) {
    const target = join(folder, version, path);
    await makeFolder(dirname(target));
    await writeFile(target, file.content);
    await chmod(target, modeFor(file, group));
    if (group !== undefined) await chown(target, 0, group);
  }
  await symlink(version, join(folder, `${dataLink}_tmp`));
  await rename(join(folder, `${dataLink}_tmp`), join(folder, dataLink));
  await linkNames(folder, files);
  if (old !== undefined) await rm(join(folder, old), { recursive: true, force: true });
  return true;
}

/** Makes the visible top-level names exactly those of the volume. */
async function linkNames(folder: string, files: ReadonlyMap<string, VolumeFile>): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => path.split('/', 1)[0] ?? ''));
  for (const name of await readdir(folder)) {
    if (!name.startsWith('..') && !wanted.delete(name)) await rm(join(folder, name), { force: true });
  }
  for (const name of wanted) await symlink(join(dataLink, name), join(folder, name));
}

/** With an fsGroup, kubelet lets the group read what its owner can. */
function modeFor(file: VolumeFile, group: number | undefined): number {
  const mode = file.mode & 0o777;
  return group === undefined ? mode : mode | 0o440;
}

async function isSame(
  folder: string,
  files: ReadonlyMap<string, VolumeFile>,
  group: number | undefined,
): Promise<boolean> {
  const present = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((e) => e.isFile());
  if (present.length !== files.size) return false;
  for (const [path, file] of files) {
    const target = join(folder, path);
    const content = await readFile(target).catch(() => undefined);
    if (content === undefined || !content.equals(file.content)) return false;
    if (((await lstat(target)).mode & 0o777) !== modeFor(file, group)) return false;
  }
  return true;
}
