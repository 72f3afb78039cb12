import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The root of a process's file system, which only exists while the process does. */
const processFolder = /^\/proc\/\d+$/;

/**
 * Makes a folder and what is missing above it, below /proc/PID/root as well; all of it
 * with exactly this mode, whatever the umask, when one is given.
 * `mkdir` with `recursive` must not be used there: when the process is gone, it
 * tries for ever, at full speed, because /proc refuses to hold the parent.
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  try {
    await make(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || processFolder.test(path) || parent === path) throw error;
    await makeFolder(parent, mode);
    await make(path, mode).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}

async function make(path: string, mode: number | undefined): Promise<void> {
  await mkdir(path, 0o755);
  if (mode !== undefined) await chmod(path, mode);
}
