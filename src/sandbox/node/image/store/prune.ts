import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readImageRecord, readNames } from './records.js';
import { storePaths } from './store-paths.js';

/**
 * Removes what no name leads to any more: images whose name was given to another one,
 * and their layers. Only while no container runs on them.
 */
export async function pruneImages(store: string): Promise<void> {
  const images = new Set<string>();
  const layers = new Set<string>();
  for (const { imageId } of readNames(store)) {
    const record = readImageRecord(store, imageId);
    if (record === undefined) continue;
    images.add(storePaths.image(store, imageId));
    for (const layer of record.layers) layers.add(storePaths.layer(store, layer));
  }
  await removeOthers(join(store, 'images'), images);
  await removeOthers(join(store, 'layers'), layers);
}

async function removeOthers(folder: string, kept: ReadonlySet<string>): Promise<void> {
  const names = await readdir(folder).catch(() => []); // nothing was loaded yet
  for (const name of names) {
    const path = join(folder, name);
    if (!kept.has(path)) await rm(path, { recursive: true, force: true });
  }
}
