import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import type { IpFamilyName } from '../supervisor/network-plan.js';
import { type SandboxPaths, sandboxBaseFolder, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { isAlive, type ProcessIdentity } from './process-identity.js';

/** Facts about a sandbox that was started, kept next to its files. */
export interface SandboxRecord {
  readonly name: string;
  readonly apiPort: number;
  readonly server: string;
  /** Its first process; absent when it was stopped in good order. */
  readonly process?: ProcessIdentity | undefined;
  readonly startedAt: string;
  /** Absent in records of earlier versions: IPv4 alone. */
  readonly ipFamilies?: readonly IpFamilyName[] | undefined;
  /** `down` keeps its objects, keys and the nodes' disks. */
  readonly isPersistent?: boolean | undefined;
  /** Which program serves the API; absent in records of earlier versions: the embedded one. */
  readonly apiServer?: 'embedded' | 'external' | undefined;
  /** The kubeconfig that got a context, if any. */
  readonly mergedKubeconfig?: string | undefined;
  /** Its current context before. */
  readonly previousContext?: string | undefined;
}

/** `crashed`: its files are there and its processes are gone, though nobody stopped it. */
export type SandboxState = 'running' | 'stopped' | 'crashed';

/** The record of a sandbox; undefined when there is none or it cannot be read. */
export function readRecord(paths: SandboxPaths): SandboxRecord | undefined {
  try {
    // Written by writeRecord in this very shape.
    return JSON.parse(readFileSync(paths.record, 'utf8')) as SandboxRecord;
  } catch {
    return undefined;
  }
}

export async function writeRecord(paths: SandboxPaths, record: SandboxRecord): Promise<void> {
  const temporary = `${paths.record}.new`;
  await writeFile(temporary, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  await rename(temporary, paths.record);
}

/** Whether the sandbox's processes exist. */
export function isRunning(record: SandboxRecord): record is SandboxRecord & { process: ProcessIdentity } {
  return record.process !== undefined && isAlive(record.process);
}

export function stateOf(record: SandboxRecord): SandboxState {
  if (record.process === undefined) return 'stopped';
  return isRunning(record) ? 'running' : 'crashed';
}

/** Names of all sandboxes that have files, running or not. */
export function sandboxNames(): string[] {
  const base = sandboxBaseFolder();
  if (!existsSync(base)) return [];
  return readdirSync(base, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(sandboxPaths(entry.name).record))
    .map((entry) => entry.name)
    .sort();
}
