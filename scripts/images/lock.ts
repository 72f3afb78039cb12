import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Architectures images are built for, by Debian's (and Go's) names. */
export const architectures = ['amd64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];

/** Node's name of an architecture. */
export const nodeArchitectures: Readonly<Record<Architecture, string>> = { amd64: 'x64', arm64: 'arm64' };

export interface LockedPackage {
  readonly version: string;
  readonly sha256: string;
}

/** Exactly what goes into the images besides this repository: with the same lock the digests are the same. */
export interface ImageLock {
  /** Codename of the Debian release. */
  readonly debian: string;
  readonly packages: Readonly<Record<Architecture, Readonly<Record<string, LockedPackage>>>>;
  /** npm packages -> their version and integrity, as npm has it. */
  readonly npm: Readonly<Record<string, { readonly version: string; readonly integrity: string }>>;
}

const lockPath = 'scripts/images/lock.json';

/** The lock of the checkout; undefined when there is none yet. */
export function readLock(): ImageLock | undefined {
  return existsSync(lockPath) ? (JSON.parse(readFileSync(lockPath, 'utf8')) as ImageLock) : undefined;
}

export function writeLock(lock: ImageLock): void {
  writeFileSync(lockPath, `${JSON.stringify(lock, null, 2)}\n`);
}
