import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageConfig } from '#base/oci/archive/image-config.js';
import { imageFiles, storePaths } from './store-paths.js';

/** `image.json`: an image that is in the store. */
export interface ImageRecord {
  /** Digest of its configuration. */
  readonly id: string;
  readonly config: ImageConfig;
  readonly layers: readonly string[];
  /** Bytes of its layers as they were in the archive. */
  readonly sizeBytes: number;
}

/** What a name stands for. */
export interface NameRecord {
  /** Normalized, as `docker.io/library/busybox:latest`. */
  readonly reference: string;
  readonly imageId: string;
  /** Digests of the manifest and of the indexes above it; the first one is shown as part of the image id. */
  readonly digests: readonly string[];
}

/** Reads the record of an image; undefined when it is not (wholly) there. */
export function readImageRecord(store: string, id: string): ImageRecord | undefined {
  return readJson<ImageRecord>(imageFiles.record(storePaths.image(store, id)));
}

/** Reads what a normalized name stands for. */
export function readName(store: string, reference: string): NameRecord | undefined {
  return readJson<NameRecord>(storePaths.name(store, reference));
}

/** All names of a store, in no particular order. */
export function readNames(store: string): NameRecord[] {
  const folder = storePaths.names(store);
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch {
    return []; // nothing was loaded yet
  }
  return files
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => readJson<NameRecord>(join(folder, file)) ?? []);
}

/** Makes a name stand for an image, at once and for good. */
export async function writeName(store: string, record: NameRecord): Promise<void> {
  await mkdir(storePaths.names(store), { recursive: true, mode: 0o700 });
  const path = storePaths.name(store, record.reference);
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(fresh, JSON.stringify(record));
  await rename(fresh, path);
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined; // absent; whole files only ever appear by a rename
  }
}
