import { readFileSync } from 'node:fs';

/** A process that can be recognized again: pids are reused, start times are not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot; field 22 of /proc/PID/stat. */
  readonly startTicks: number;
}

/** Identity of a living process; undefined when there is none. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const startTicks = Number(fields?.[19]);
  return fields === undefined || fields[0] === 'Z' || Number.isNaN(startTicks)
    ? undefined
    : { pid, startTicks };
}

/** Whether the very process is still alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Parent of a process; undefined when it is gone. */
export function parentOf(pid: number): number | undefined {
  const parent = Number(statFields(pid)?.[1]);
  return Number.isNaN(parent) || parent === 0 ? undefined : parent;
}

/** Pids of a process in its nested pid namespaces, outermost first. */
export function nestedPids(pid: number): readonly number[] {
  try {
    const line = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return line === undefined ? [] : line.split(/\s+/).map(Number);
  } catch {
    return []; // the process ended
  }
}

/** Fields of /proc/PID/stat after the program name (which may hold blanks): state, ppid, ... */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
