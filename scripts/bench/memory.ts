import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly args: readonly string[];
  /** Proportional set size: a page that n processes map counts 1/n in each. */
  readonly pssBytes: number;
}

/** The memory of a process and all of its descendants; those that end meanwhile are left out. */
export function memoryOfTree(rootPid: number): readonly ProcessMemory[] {
  const childrenOf = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const parent = /^\d+$/.test(entry) ? parentOf(entry) : undefined;
    if (parent !== undefined) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(entry)]);
  }
  const tree = [rootPid];
  // The array grows while it is walked: breadth first.
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []));
  return tree.flatMap((pid) => memoryOf(pid) ?? []);
}

/** Sums the PSS of the processes that `matches` picks, in MB (10^6 bytes). */
export function megabytes(
  processes: readonly ProcessMemory[],
  matches: (args: readonly string[]) => boolean = () => true,
): number {
  return processes.filter((p) => matches(p.args)).reduce((sum, p) => sum + p.pssBytes, 0) / 1e6;
}

function parentOf(pid: string): number | undefined {
  // The program's name, in parentheses, may hold spaces and parentheses itself.
  const fields = readIfThere(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ');
  return fields?.[1] === undefined ? undefined : Number(fields[1]);
}

function memoryOf(pid: number): ProcessMemory | undefined {
  const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readIfThere(`/proc/${pid}/smaps_rollup`) ?? '')?.[1];
  const args = readIfThere(`/proc/${pid}/cmdline`)?.split('\0');
  if (kilobytes === undefined || args === undefined) return undefined;
  return { args, pssBytes: Number(kilobytes) * 1024 };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
