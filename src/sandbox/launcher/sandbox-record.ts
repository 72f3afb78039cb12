import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { type SandboxPaths, sandboxBaseFolder, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { isAlive, type ProcessIdentity } from './process-identity.js';

/** Facts about a started sandbox, kept next to its files. */
export interface SandboxRecord {
  readonly name: string;
  readonly nodeCount: number;
  readonly apiPort: number;
  readonly server: string;
  readonly process: ProcessIdentity;
  readonly startedAt: string;
  /** The kubeconfig that got a context, if any. */
  readonly mergedKubeconfig?: string;
  /** Its current context before. */
  readonly previousContext?: string;
}

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
export function isRunning(record: SandboxRecord): boolean {
  return isAlive(record.process);
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
