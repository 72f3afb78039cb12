import { createHash } from 'node:crypto';
import { join } from 'node:path';

/**
 * Where a store of loaded images keeps what. Every part appears by a rename when it
 * is whole, so that readers and other imports never see half of one.
 */
export const storePaths = {
  /** An unpacked layer, by the digest of its tar: `entries.ndjson` and `files/<n>`. */
  layer: (store: string, diffId: string): string => join(store, 'layers', fileName(diffId)),
  /** An image, by the digest of its configuration: `image.json` and `rootfs`. */
  image: (store: string, id: string): string => join(store, 'images', fileName(id)),
  names: (store: string): string => join(store, 'names'),
  /** What an image name stands for: {@link NameRecord}. */
  name: (store: string, reference: string): string =>
    join(store, 'names', `${createHash('sha256').update(reference).digest('hex')}.json`),
  staging: (store: string): string => join(store, 'staging'),
};

/** Of a layer or a layer in the making. */
export const layerFiles = {
  entries: (folder: string): string => join(folder, 'entries.ndjson'),
  contents: (folder: string): string => join(folder, 'files'),
  content: (folder: string, number: number): string => join(folder, 'files', String(number)),
};

export const imageFiles = {
  record: (folder: string): string => join(folder, 'image.json'),
  rootfs: (folder: string): string => join(folder, 'rootfs'),
};

function fileName(digest: string): string {
  return digest.replace(':', '-');
}
