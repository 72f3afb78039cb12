import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The root of a process's file system, which only exists while the process does. */
const processFolder = /^\/proc\/\d+$/;

/**
 * Makes a folder and what is missing above it, below /proc/PID/root as well.
 * `mkdir` with `recursive` must not be used there: when the process is gone, it
 * tries for ever, at full speed, because /proc refuses to hold the parent.
 */
export async function makeFolder(path: string): Promise<void> {
  const mode = 0o755;
  try {
    await mkdir(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || processFolder.test(path) || parent === path) throw error;
    await makeFolder(parent);
    await mkdir(path, mode).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}
