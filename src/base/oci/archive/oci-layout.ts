import { MeshError } from '../../errors/mesh-error.js';
import { isRecord } from '../../collections/is-record.js';
import type { ArchiveFile, ArchiveFiles } from './archive-files.js';
import type { ArchivedImage, ArchivedLayer } from './archived-image.js';
import {
  annotatedName,
  type Descriptor,
  descriptorOf,
  descriptorsOf,
  type Document,
  isAttestation,
  isImageManifest,
} from '../descriptor.js';
import { blobPath } from '../digest.js';
import { parseImageConfig } from './image-config.js';
import { damaged, tooLarge } from '../limits.js';
import { formatPlatform, type Platform, imagePlatformOf, platformRank } from '../platform.js';
import { readDocument } from './document.js';

/** A manifest somewhere below index.json, and what is known of it from the way there. */
interface Candidate {
  readonly manifest: Document;
  readonly digests: readonly string[];
  readonly platform: Platform | undefined;
}

const depthMax = 8;
const manifestsMax = 2_000;

/**
 * The images of an OCI layout, one for each name in index.json: of a multi-platform
 * image the manifest that fits `machine`. undefined when there is no index.json.
 */
export async function readOciLayout(
  files: ArchiveFiles,
  machine: Platform,
): Promise<ArchivedImage[] | undefined> {
  const index = await files.get('index.json');
  if (index === undefined) return undefined;
  const document = await readDocument(index);
  if (document === undefined || !Array.isArray(document.value['manifests']))
    throw damaged('index.json lists no manifests');
  const reader = new LayoutReader(files, machine);
  const groups = new Map<string, Descriptor[]>();
  for (const descriptor of descriptorsOf(document.value)) {
    const name = annotatedName(descriptor.annotations);
    groups.set(name, [...(groups.get(name) ?? []), descriptor]);
  }
  const images: ArchivedImage[] = [];
  for (const [name, descriptors] of groups) {
    const image = await reader.image(name, descriptors);
    if (image !== undefined) images.push(image);
  }
  return images;
}

class LayoutReader {
  readonly #files: ArchiveFiles;
  readonly #machine: Platform;
  #count = 0;

  constructor(files: ArchiveFiles, machine: Platform) {
    this.#files = files;
    this.#machine = machine;
  }

  /** The image of one name; undefined when there is nothing but what is no image (attestations, charts). */
  async image(name: string, descriptors: readonly Descriptor[]): Promise<ArchivedImage | undefined> {
    const candidates: Candidate[] = [];
    for (const descriptor of descriptors)
      candidates.push(...(await this.#candidates(descriptor, { parents: [], depth: 0 })));
    if (candidates.length === 0) return undefined;
    const ranked = candidates
      .map((candidate) => ({ candidate, rank: this.#rank(candidate) }))
      .filter((r) => r.rank !== undefined)
      .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
    const missing: string[] = [];
    for (const { candidate } of ranked) {
      const image = await this.#read(name, candidate);
      // A saved multi-platform index often comes with the blobs of one platform only.
      if (typeof image === 'string') missing.push(image);
      else return image;
    }
    if (missing.length > 0) throw damaged(missing.join('; '));
    const offered = candidates.map((c) => (c.platform === undefined ? '?' : formatPlatform(c.platform)));
    throw new MeshError('MESH0843', `the image ${name || '(without a name)'} does not run on this machine`, {
      evidence: `it is for ${[...new Set(offered)].join(', ')}; this machine is ${formatPlatform(this.#machine)}`,
    });
  }

  #rank({ platform }: Candidate): number | undefined {
    return platform === undefined ? 0 : platformRank(platform, this.#machine);
  }

  async #candidates(
    descriptor: Descriptor,
    { parents, depth }: { parents: readonly string[]; depth: number },
  ): Promise<Candidate[]> {
    this.#count += 1;
    if (this.#count > manifestsMax) throw tooLarge(`more than ${manifestsMax} manifests`);
    if (depth > depthMax) throw damaged(`indexes are nested more than ${depthMax} deep`);
    if (isAttestation(descriptor)) return []; // an attestation
    const fits =
      descriptor.platform === undefined || platformRank(descriptor.platform, this.#machine) !== undefined;
    const document = await this.#document(descriptor);
    const digests = [descriptor.digest, ...parents];
    if (document === undefined) {
      // Blobs of other platforms may have been left out.
      if (!fits || parents.length > 0) return [{ manifest: {}, digests, platform: descriptor.platform }];
      throw damaged(`${blobPath(descriptor.digest)} is missing`);
    }
    if (Array.isArray(document['manifests'])) {
      const nested: Candidate[] = [];
      for (const child of descriptorsOf(document))
        nested.push(...(await this.#candidates(child, { parents: digests, depth: depth + 1 })));
      return nested;
    }
    if (document['schemaVersion'] === 1)
      throw damaged('the archive holds a manifest of schema 1, which is no longer supported');
    if (!isImageManifest(document)) return [];
    const platform = descriptor.platform ?? (await this.#configPlatform(document));
    return [{ manifest: document, digests, platform }];
  }

  async #configPlatform(manifest: Document): Promise<Platform | undefined> {
    const config = isRecord(manifest['config']) ? descriptorOf(manifest['config']) : undefined;
    const document = config === undefined ? undefined : await this.#document(config);
    return document === undefined ? undefined : imagePlatformOf(document);
  }

  /** The image of a manifest, or what is missing of it. */
  async #read(name: string, { manifest, digests }: Candidate): Promise<ArchivedImage | string> {
    const configDescriptor = isRecord(manifest['config']) ? descriptorOf(manifest['config']) : undefined;
    if (configDescriptor === undefined) return `the manifest ${digests[0]} is missing`;
    const document = await this.#document(configDescriptor);
    if (document === undefined) return `${blobPath(configDescriptor.digest)} is missing`;
    const config = parseImageConfig(document);
    const layers: ArchivedLayer[] = [];
    const list: unknown = manifest['layers'];
    for (const item of Array.isArray(list) ? list : []) {
      const layer = isRecord(item) ? descriptorOf(item) : undefined;
      if (layer === undefined) throw damaged(`the manifest ${digests[0]} lists a layer without a digest`);
      if (layer.mediaType.endsWith('+encrypted')) throw damaged(`the layer ${layer.digest} is encrypted`);
      const file = await this.#blob(layer);
      if (file === undefined) return `layer ${blobPath(layer.digest)} is missing`;
      layers.push({ file, digest: layer.digest });
    }
    if (layers.length !== config.diffIds.length)
      throw damaged(
        `the manifest ${digests[0]} lists ${layers.length} layers, its configuration ${config.diffIds.length}`,
      );
    return { names: name === '' ? [] : [name], id: configDescriptor.digest, digests, config, layers };
  }

  async #document(descriptor: Descriptor): Promise<Document | undefined> {
    const file = await this.#blob(descriptor);
    return file === undefined ? undefined : (await readDocument(file, descriptor.digest))?.value;
  }

  async #blob({ digest, size }: Descriptor): Promise<ArchiveFile | undefined> {
    const file = await this.#files.get(blobPath(digest));
    if (file !== undefined && file.size !== size)
      throw damaged(`${file.name} has ${file.size} bytes, and should have ${size}`);
    return file;
  }
}
