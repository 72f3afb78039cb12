import { readdirSync } from 'node:fs';
import { libc } from '#base/system/libc.js';

const setCloseOnExec = 0x5451; // FIOCLEX
const standardErrorFd = 2;

/**
 * Keeps this process's files from its children, but for the standard streams and what a
 * child is given on purpose. Node does so for files of its own; these are the ones it inherited.
 */
export function keepFilesFromChildren(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    // The folder's own descriptor is closed by now: that it fails is of no interest.
    if (fd > standardErrorFd) libc.ioctl(fd, setCloseOnExec, 'int', 0);
  }
}
