import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { formatImageReference, parseImageReference } from '#base/oci/reference.js';
import type { LayerEntry } from '../store/layer-entry.js';
import { type ImageRecord, writeName } from '../store/records.js';
import { imageFiles, layerFiles, storePaths } from '../store/store-paths.js';
import type { ArchivedImage } from '#base/oci/archive/archived-image.js';
import { type ArchiveFiles, openArchive } from '#base/oci/archive/archive-files.js';
import { readDockerArchive } from '#base/oci/archive/docker-archive.js';
import { readLayer } from './layer-reader.js';
import { Budget, type ImportLimits, limitsFor } from '#base/oci/limits.js';
import { materialize } from './materialize.js';
import { MergedTree } from './merged-tree.js';
import { readOciLayout } from '#base/oci/archive/oci-layout.js';
import { machinePlatform, type Platform } from '#base/oci/platform.js';

/** An image that an import has put into the store (or found there). */
export interface ImportedImage {
  /** Normalized names that now stand for it. */
  readonly references: readonly string[];
  /** Digest of its configuration. */
  readonly id: string;
  readonly sizeBytes: number;
  readonly layerCount: number;
  /** Whether the store had it already, so that only its names were set. */
  readonly wasPresent: boolean;
}

export interface ImportOptions {
  readonly signal: AbortSignal;
  /** Name to give to the image, instead of those in the archive; needs an archive with one image. */
  readonly tag?: string | undefined;
  /** Default: what suits the free disk. */
  readonly limits?: ImportLimits | undefined;
  /** Default: this machine's. */
  readonly platform?: Platform | undefined;
}

/**
 * Puts the images of an archive (OCI layout or `docker save`, tar or compressed tar,
 * or an unpacked OCI layout) into the store at `imageFolder`. Nothing of it can be
 * seen there before it is whole; names change last. Throws MESH0840 (no image
 * archive), MESH0841 (damaged), MESH0842 (too large), MESH0843 (not for this machine),
 * MESH0844 (no name).
 */
export async function importArchive(
  archivePath: string,
  imageFolder: string,
  o: ImportOptions,
): Promise<readonly ImportedImage[]> {
  const tag = o.tag === undefined ? undefined : normalize(o.tag);
  await mkdir(imageFolder, { recursive: true, mode: 0o700 });
  const limits = o.limits ?? (await limitsFor(imageFolder));
  const staging = await makeStaging(imageFolder);
  try {
    const files = await openArchive(archivePath, { staging, limits, signal: o.signal });
    const images = named(await readImages(files, archivePath, o.platform ?? machinePlatform()), tag);
    const bytes = new Budget(limits.bytes, 'bytes of unpacked layers');
    const results: ImportedImage[] = [];
    for (const { image, references } of images) {
      const run = new ImageImport(image, { store: imageFolder, staging, limits, bytes, signal: o.signal });
      results.push({ ...(await run.perform()), references });
    }
    for (const { image, references } of images)
      for (const reference of references)
        await writeName(imageFolder, { reference, imageId: image.id, digests: image.digests });
    return results;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function readImages(files: ArchiveFiles, path: string, machine: Platform): Promise<ArchivedImage[]> {
  const oci = await readOciLayout(files, machine);
  if (oci !== undefined && oci.every((image) => image.names.some(isWholeName))) {
    if (oci.length > 0) return oci;
  }
  const docker = await readDockerArchive(files);
  if (docker !== undefined && oci === undefined) return docker;
  // Both: the layout has the digests, `manifest.json` may have better names.
  const images = (oci ?? []).map((image) => ({
    ...image,
    names: [...image.names, ...(docker?.find((d) => d.id === image.id)?.names ?? [])],
  }));
  if (images.length > 0) return images;
  throw new MeshError('MESH0840', `${path} is not an image archive`, {
    evidence: 'it has neither an index.json with images (OCI layout) nor a manifest.json (docker save)',
  });
}

/** An annotation is often only a tag ("latest"), which says nothing about the repository. */
function isWholeName(name: string): boolean {
  return /[/:@]/.test(name) && parseImageReference(name) !== undefined;
}

function isDigestName(name: string): boolean {
  return parseImageReference(name)?.digest !== undefined;
}

function normalize(name: string): string {
  const parsed = parseImageReference(name);
  if (parsed === undefined || parsed.digest !== undefined)
    throw new MeshError('MESH0844', `"${name}" is no name for an image`, {
      hint: 'Use a name like shop/frontend:1.2, without a digest.',
    });
  return formatImageReference(parsed);
}

interface NamedImage {
  readonly image: ArchivedImage;
  readonly references: readonly string[];
}

function named(images: readonly ArchivedImage[], tag: string | undefined): NamedImage[] {
  if (tag !== undefined && new Set(images.map((i) => i.id)).size > 1)
    throw new MeshError(
      'MESH0844',
      `the archive holds ${images.length} images; one name cannot be given to all`,
    );
  // An archive may name an image by its digest, too, which is known anyway.
  const tagged = images.filter(({ names }) => names.length === 0 || !names.every(isDigestName));
  return (tagged.length === 0 ? images : tagged).map((image) => {
    const references = tag === undefined ? image.names.filter(isWholeName).map(normalize) : [tag];
    if (references.length > 0) return { image, references: [...new Set(references)] };
    throw new MeshError('MESH0844', 'the archive does not say what its image is called', {
      evidence: image.names.length === 0 ? image.id : `it says only ${image.names.join(', ')}`,
    });
  });
}

/** A folder of this import alone; those of imports that were killed are removed on the way. */
async function makeStaging(store: string): Promise<string> {
  const all = storePaths.staging(store);
  await mkdir(all, { recursive: true, mode: 0o700 });
  for (const name of await readdir(all)) {
    const pid = Number.parseInt(name, 10);
    if (!isRunning(pid)) await rm(join(all, name), { recursive: true, force: true });
  }
  const staging = join(all, `${process.pid}-${randomBytes(6).toString('hex')}`);
  await mkdir(staging, { mode: 0o700 });
  return staging;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** One image on its way into the store: its layers, then its root file system. */
class ImageImport {
  readonly #image: ArchivedImage;
  readonly #o: { store: string; staging: string; limits: ImportLimits; bytes: Budget; signal: AbortSignal };
  readonly #keepsOwners = process.getuid?.() === 0;

  constructor(
    image: ArchivedImage,
    o: { store: string; staging: string; limits: ImportLimits; bytes: Budget; signal: AbortSignal },
  ) {
    this.#image = image;
    this.#o = o;
  }

  async perform(): Promise<Omit<ImportedImage, 'references'>> {
    const { id, layers, config } = this.#image;
    const { store, limits } = this.#o;
    const sizeBytes = layers.reduce((sum, { file }) => sum + file.size, 0);
    const result = { id, sizeBytes, layerCount: layers.length };
    const target = storePaths.image(store, id);
    if (existsSync(imageFiles.record(target))) return { ...result, wasPresent: true };
    new Budget(limits.layers, 'layers in one image').take(layers.length);
    const folders = await this.#layers();
    const tree = new MergedTree();
    for (const folder of folders) tree.apply(await readEntries(folder));
    const staged = await this.#stage();
    await materialize(tree.root, imageFiles.rootfs(staged), {
      layers: folders,
      keepsOwners: this.#keepsOwners,
      signal: this.#o.signal,
    });
    const record: ImageRecord = { id, config: config.config, layers: config.diffIds, sizeBytes };
    await writeFile(imageFiles.record(staged), JSON.stringify(record));
    await publish(staged, target);
    return { ...result, wasPresent: false };
  }

  /** Folders of the layers, lowest first; those the store has are not unpacked again. */
  async #layers(): Promise<string[]> {
    const { store, limits, bytes, signal } = this.#o;
    const entries = new Budget(limits.entries, 'entries in the layers of one image');
    const folders: string[] = [];
    for (const [index, layer] of this.#image.layers.entries()) {
      const diffId = this.#image.config.diffIds[index] ?? '';
      const target = storePaths.layer(store, diffId);
      folders.push(target);
      if (existsSync(layerFiles.entries(target))) continue;
      const folder = await this.#stage();
      await readLayer(layer, { folder, diffId, bytes, entries, keepsOwners: this.#keepsOwners, signal });
      await publish(folder, target);
    }
    return folders;
  }

  async #stage(): Promise<string> {
    const folder = join(this.#o.staging, randomBytes(6).toString('hex'));
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }
}

/** Makes a whole folder appear; another import may have been faster with the same content. */
async function publish(staged: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  await rename(staged, target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

async function readEntries(layer: string): Promise<LayerEntry[]> {
  const text = await readFile(layerFiles.entries(layer), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LayerEntry);
}
