import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { MeshError } from '../errors/mesh-error.js';
import { type ArchiveFile, type ArchiveFiles, openArchive } from './archive/archive-files.js';
import { compressionOfFile } from './archive/compression.js';
import { readDockerArchive } from './archive/docker-archive.js';
import { readDocument } from './archive/document.js';
import { annotatedName, type Descriptor, descriptorsOf, mediaTypes } from './descriptor.js';
import { blobPath, digestOf, DigestStream } from './digest.js';
import type { ImageContent, SourceImage } from './image-source.js';
import { damaged, limitsFor } from './limits.js';
import { formatImageReference, parseImageReference } from './reference.js';
import { verified } from './verified.js';

/** The images of an archive, with all their platforms. */
export interface ArchiveSource {
  readonly images: readonly SourceImage[];
  /** Removes what was unpacked for reading. */
  close(): Promise<void>;
}

/**
 * Opens an OCI layout (a folder, or a tar, also compressed) or what `docker save` writes. Images without a usable
 * name are left out. Throws MESH0840 (no archive), MESH0841 (damaged) or MESH0842 (too large).
 */
export async function openArchiveSource(path: string, signal: AbortSignal): Promise<ArchiveSource> {
  const staging = await mkdtemp(join(tmpdir(), 'meshctl-images-'));
  const close = (): Promise<void> => rm(staging, { recursive: true, force: true });
  try {
    const files = await openArchive(path, { staging, limits: await limitsFor(staging), signal });
    const images = (await layoutImages(files, path)) ?? (await dockerImages(files, path));
    if (images !== undefined) return { images, close };
    throw new MeshError('MESH0840', `${path} is not an image archive`, {
      evidence: 'it has neither an index.json (OCI layout) nor a manifest.json (docker save)',
    });
  } catch (error) {
    await close();
    throw error;
  }
}

async function layoutImages(files: ArchiveFiles, place: string): Promise<SourceImage[] | undefined> {
  const index = await files.get('index.json');
  if (index === undefined) return undefined;
  const document = await readDocument(index);
  if (document === undefined || !Array.isArray(document.value['manifests']))
    throw damaged('index.json lists no manifests');
  const content = new ArchiveContent(place, (digest) => files.get(blobPath(digest)));
  return descriptorsOf(document.value).flatMap((root) => {
    const name = wholeName(annotatedName(root.annotations));
    return name === undefined ? [] : [{ name, root, content }];
  });
}

/** docker's archives have no manifests: they are made of what is there. */
async function dockerImages(files: ArchiveFiles, place: string): Promise<SourceImage[] | undefined> {
  const archived = await readDockerArchive(files);
  if (archived === undefined) return undefined;
  const images: SourceImage[] = [];
  for (const image of archived) {
    const blobs = new Map<string, ArchiveFile>([[image.id, image.configFile]]);
    const layers: object[] = [];
    for (const { file } of image.layers) {
      const digest = await digestOfFile(file);
      blobs.set(digest, file);
      layers.push({ mediaType: await layerTypeOf(file), digest, size: file.size });
    }
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: { mediaType: mediaTypes.config, digest: image.id, size: image.configFile.size },
        layers,
      }),
    );
    const root: Descriptor = {
      digest: digestOf(manifest),
      size: manifest.length,
      mediaType: mediaTypes.manifest,
      platform: image.config.platform,
      annotations: {},
    };
    const content = new ArchiveContent(place, (wanted) => Promise.resolve(blobs.get(wanted)), {
      [root.digest]: manifest,
    });
    for (const given of image.names) {
      const name = wholeName(given);
      if (name !== undefined) images.push({ name, root, content });
    }
  }
  return images;
}

class ArchiveContent implements ImageContent {
  readonly place: string;
  readonly #find: (digest: string) => Promise<ArchiveFile | undefined>;
  readonly #made: Readonly<Record<string, Buffer>>;

  /** @param made documents that the archive does not have, by digest. */
  constructor(
    place: string,
    find: (digest: string) => Promise<ArchiveFile | undefined>,
    made: Readonly<Record<string, Buffer>> = {},
  ) {
    this.place = place;
    this.#find = find;
    this.#made = made;
  }

  async document(descriptor: Descriptor): Promise<Buffer> {
    const made = this.#made[descriptor.digest];
    if (made !== undefined) return made;
    const file = await this.#file(descriptor);
    await readDocument(file, descriptor.digest); // its size and digest
    return file.read();
  }

  async blob(descriptor: Descriptor, start = 0): Promise<Readable> {
    const file = await this.#file(descriptor);
    return start > 0 ? file.stream(start) : verified(file.stream(), descriptor, this.place);
  }

  async #file({ digest, size }: Descriptor): Promise<ArchiveFile> {
    const file = await this.#find(digest);
    if (file === undefined) throw damaged(`${this.place}: ${blobPath(digest)} is missing`);
    if (file.size !== size) throw damaged(`${file.name} has ${file.size} bytes, and should have ${size}`);
    return file;
  }
}

/** A layer as it is in the archive: docker's are plain, those of other programs may be compressed. */
async function layerTypeOf(file: ArchiveFile): Promise<string> {
  const compression = await compressionOfFile(file);
  return compression === 'none' ? mediaTypes.layer : `${mediaTypes.layer}+${compression}`;
}

async function digestOfFile(file: ArchiveFile): Promise<string> {
  const hash = new DigestStream('sha256');
  file.stream().pipe(hash);
  for await (const chunk of hash) void chunk;
  return hash.digest();
}

/** The normalized name; undefined for one that is only a tag, or a digest that stands beside a tag. */
function wholeName(name: string): string | undefined {
  const parsed = /[/:]/.test(name) ? parseImageReference(name) : undefined;
  return parsed === undefined || parsed.digest !== undefined ? undefined : formatImageReference(parsed);
}
