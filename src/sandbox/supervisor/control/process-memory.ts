import { readdir, readFile } from 'node:fs/promises';
import type { SandboxMemory } from './control-protocol.js';

/** Sums up every process of this pid namespace: the whole sandbox, pods included. */
export async function sandboxMemory(): Promise<SandboxMemory> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const sizes = await Promise.all(pids.map(pssBytes));
  const known = sizes.filter((size) => size !== undefined);
  return { processCount: known.length, pssBytes: known.reduce((sum, size) => sum + size, 0) };
}

/** Proportional set size; undefined when the process has ended. */
async function pssBytes(pid: string): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => undefined);
  const kibibytes = Number(/^Pss:\s+(\d+) kB$/m.exec(text ?? '')?.[1]);
  return Number.isNaN(kibibytes) ? undefined : kibibytes * 1024;
}
