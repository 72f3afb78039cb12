import { closeSync, constants, openSync } from 'node:fs';
import { checkCall, libc } from '#base/system/libc.js';

const tiocSetUnlock = 0x40045431; // TIOCSPTLCK
const tiocGetPeer = 0x5441; // TIOCGPTPEER: opens the slave without its path, which may not be mounted here
const tiocSetWindow = 0x5414; // TIOCSWINSZ

/** A pseudo terminal; the caller closes both ends. */
export interface Terminal {
  readonly masterFd: number;
  readonly slaveFd: number;
}

/**
 * Opens a pseudo terminal of the device file system that `multiplexer` (its `ptmx`)
 * belongs to. Throws {@link SystemCallError}, or Node's error when there is no such file.
 */
export function openTerminal(multiplexer = '/dev/ptmx'): Terminal {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const masterFd = openSync(multiplexer, flags);
  try {
    const unlocked = Buffer.alloc(4);
    checkCall('ioctl', libc.ioctl(masterFd, tiocSetUnlock, 'void *', unlocked), 'TIOCSPTLCK');
    const oCloexec = 0o2000000;
    const slaveFd = checkCall(
      'ioctl',
      libc.ioctl(masterFd, tiocGetPeer, 'int', flags | oCloexec),
      'TIOCGPTPEER',
    );
    return { masterFd, slaveFd };
  } catch (error) {
    closeSync(masterFd);
    throw error;
  }
}

/** Sets the window size; processes on the terminal get SIGWINCH. Throws {@link SystemCallError}. */
export function resizeTerminal(fd: number, size: { columns: number; rows: number }): void {
  const window = Buffer.alloc(8);
  window.writeUInt16LE(size.rows, 0);
  window.writeUInt16LE(size.columns, 2);
  checkCall('ioctl', libc.ioctl(fd, tiocSetWindow, 'void *', window), 'TIOCSWINSZ');
}
