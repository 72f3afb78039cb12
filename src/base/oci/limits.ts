import { statfs } from 'node:fs/promises';
import { MeshError } from '../errors/mesh-error.js';

/** How much of an archive is accepted. */
export interface ImportLimits {
  /** Files in the archive itself. */
  readonly archiveFiles: number;
  /** Layers of one image. */
  readonly layers: number;
  /** Entries of all layers of one image together. */
  readonly entries: number;
  /** Bytes written to disk for one archive. */
  readonly bytes: number;
}

const gibibyte = 1024 ** 3;
export const documentMaxBytes = 8 * 1024 * 1024;
const bytesMax = 32 * gibibyte;

/** The defaults: generous for real images, and never more than half of the free disk. */
export async function limitsFor(folder: string): Promise<ImportLimits> {
  const { bavail, bsize } = await statfs(folder);
  return {
    archiveFiles: 20_000,
    layers: 512,
    entries: 500_000,
    bytes: Math.min(bytesMax, Math.floor((bavail * bsize) / 2)),
  };
}

/** A count of bytes or entries that ends an import when it gets too large. */
export class Budget {
  #left: number;
  readonly #max: number;
  readonly #what: string;

  constructor(max: number, what: string) {
    this.#left = max;
    this.#max = max;
    this.#what = what;
  }

  /** Throws MESH0842 when there is less left than is taken. */
  take(amount: number): void {
    if (amount > this.#left) throw tooLarge(`more than ${this.#max} ${this.#what}`);
    this.#left -= amount;
  }
}

/** What is asked for is beyond what an import may use. */
export function tooLarge(evidence: string): MeshError {
  return new MeshError('MESH0842', 'the image archive is too large', { evidence });
}

/** The archive contradicts itself or holds what no image may hold. */
export function damaged(evidence: string, cause?: unknown): MeshError {
  return new MeshError('MESH0841', 'the image archive is damaged or not trustworthy', { evidence, cause });
}
