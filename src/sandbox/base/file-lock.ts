import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { lastErrno, libc, SystemCallError } from '#base/system/libc.js';

const lockExclusive = 2;
const lockNonblocking = 4;
const eagain = 11;

/** A lock on a file that the kernel takes back when this process dies. */
export interface FileLock {
  /** Removes the file and gives the lock back. */
  release(): void;
}

/** Takes the lock of a file, which is made when absent; undefined while another process has it. Throws fs errors. */
export function tryLockFile(path: string): FileLock | undefined {
  const fd = openSync(path, 'a', 0o600);
  try {
    if (libc.flock(fd, lockExclusive | lockNonblocking) !== 0) {
      const errno = lastErrno();
      if (errno !== eagain) throw new SystemCallError('flock', errno, path);
      closeSync(fd);
      return undefined;
    }
    // The holder before may have removed the file between our opening and locking it: then this is nobody's lock.
    if (statSync(path, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
      closeSync(fd);
      return undefined;
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    release: () => {
      rmSync(path, { force: true });
      closeSync(fd);
    },
  };
}
