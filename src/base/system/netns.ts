import { fstatSync, openSync } from 'node:fs';
import { checkCall, libc } from './libc.js';

const cloneNewnet = 0x40000000;

let homeFd: number | undefined;

/** Opens a network namespace file (`/proc/PID/ns/net`, `/var/run/netns/x`); the caller closes the fd. */
export function openNetns(path: string): number {
  return openSync(path, 'r');
}

/** Inode of a namespace file: equal inodes are the same namespace. */
export function netnsInode(fd: number): bigint {
  return fstatSync(fd, { bigint: true }).ino;
}

/**
 * Runs `fn` with the calling thread in the network namespace `nsFd` and returns to
 * the original namespace afterwards, also when `fn` throws. `fn` must be synchronous:
 * sockets it makes by FFI, and children it spawns, belong to that namespace.
 */
export function runInNetns<T>(nsFd: number, fn: () => T): T {
  homeFd ??= openSync('/proc/thread-self/ns/net', 'r');
  checkCall('setns', libc.setns(nsFd, cloneNewnet), '(enter network namespace)');
  try {
    return fn();
  } finally {
    // A process stuck in the wrong namespace would leak one pod's traffic into another: do not go on.
    if (libc.setns(homeFd, cloneNewnet) < 0) process.abort();
  }
}
