import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';

/** Pids of the direct children of a process, as this pid namespace sees them; empty when it is gone. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    // The process ended between the caller's look and ours.
    return [];
  }
}

/** Pids of all descendants of a process, parents before their children. */
export function descendantsOf(pid: number): number[] {
  const all = childrenOf(pid);
  // The list grows while it is walked.
  for (const child of all) all.push(...childrenOf(child));
  return all;
}

/** Path of the program a process runs; undefined when it is gone or a zombie. */
export function executableOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** Sends a signal; false when the process no longer exists. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** The exit code a shell gives a process that a signal ended. */
export function exitCodeOfSignal(signal: NodeJS.Signals | null): number {
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** Identity of the mount namespace a process is in; undefined when it is gone. */
export function mountNamespaceOf(pid: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** Every process in a mount namespace, as this pid namespace sees them. */
export function processesIn(mountNamespace: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && mountNamespaceOf(name) === mountNamespace)
    .map(Number);
}
