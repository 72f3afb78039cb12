import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar, { type Pack } from 'tar-stream';
import { isRecord } from '../collections/is-record.js';
import { MeshError } from '../errors/mesh-error.js';
import type { ImageSink } from './copy-image.js';
import {
  type Descriptor,
  descriptorOf,
  descriptorsOf,
  type Document,
  isIndex,
  mediaTypes,
  nameAnnotations,
} from './descriptor.js';
import { blobPath } from './digest.js';
import type { ImageContent } from './image-source.js';
import { platformDocument } from './platform.js';
import { parseImageReference } from './reference.js';

interface NamedRoot {
  readonly name: string;
  readonly root: Descriptor;
}

/**
 * Writes images into one tar that is an OCI layout and, as long as each image has one platform, also what `docker save`
 * writes: docker, podman, containerd and skopeo read it. The same images make the same bytes. The file appears when it
 * is whole.
 */
export class ArchiveSink implements ImageSink {
  readonly #path: string;
  readonly #pack: Pack = tar.pack();
  readonly #written: Promise<void>;
  readonly #blobs = new Set<string>();
  readonly #manifests = new Map<string, Document>();
  readonly #names: NamedRoot[] = [];

  constructor(path: string) {
    this.#path = path;
    this.#written = pipeline(this.#pack, createWriteStream(this.#partial));
    this.#written.catch(() => undefined); // told by whoever writes next
  }

  get #partial(): string {
    return `${this.#path}.partial`;
  }

  async putBlob(
    descriptor: Descriptor,
    content: ImageContent,
    onBytes: (count: number) => void,
  ): Promise<void> {
    if (this.#blobs.has(descriptor.digest)) return;
    const source = await content.blob(descriptor);
    source.on('data', (chunk: Buffer) => onBytes(chunk.length));
    await this.#stream(blobPath(descriptor.digest), descriptor.size, source);
    this.#blobs.add(descriptor.digest);
  }

  async putManifest(descriptor: Descriptor, bytes: Buffer): Promise<void> {
    if (this.#blobs.has(descriptor.digest)) return;
    this.#blobs.add(descriptor.digest);
    this.#manifests.set(descriptor.digest, JSON.parse(bytes.toString('utf8')) as Document);
    await this.#file(blobPath(descriptor.digest), bytes);
  }

  putName(name: string, root: Descriptor): Promise<void> {
    this.#names.push({ name, root });
    return Promise.resolve();
  }

  /** Writes the tables of contents and gives the file its name. Throws MESH1208. */
  async close(): Promise<void> {
    await this.#file('oci-layout', Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' })));
    await this.#file('index.json', Buffer.from(JSON.stringify(indexOf(this.#names))));
    const docker = this.#names.map((named) => this.#dockerItem(named));
    if (docker.every((item) => item !== undefined))
      await this.#file('manifest.json', Buffer.from(JSON.stringify(docker)));
    this.#pack.finalize();
    await this.#written.catch((error: unknown) => this.#fail(error));
    await rename(this.#partial, this.#path);
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    this.#pack.destroy();
    await this.#written.catch(() => undefined);
    await rm(this.#partial, { force: true });
  }

  #dockerItem({ name, root }: NamedRoot): object | undefined {
    const manifest = this.#manifests.get(root.digest);
    if (manifest === undefined || isIndex(manifest)) return undefined;
    const config = isRecord(manifest['config']) ? descriptorOf(manifest['config']) : undefined;
    if (config === undefined) return undefined;
    return {
      Config: blobPath(config.digest),
      RepoTags: [name],
      Layers: descriptorsOf(manifest, 'layers').map(({ digest }) => blobPath(digest)),
    };
  }

  #file(name: string, bytes: Buffer): Promise<void> {
    return this.#write((done) => void this.#pack.entry({ ...entry, name, size: bytes.length }, bytes, done));
  }

  #stream(name: string, size: number, source: Readable): Promise<void> {
    return this.#write((done) => {
      const sink = this.#pack.entry({ ...entry, name, size }, done);
      pipeline(source, sink).catch(done);
    });
  }

  /** Ends with the entry, or with the file it is written to. */
  async #write(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    const ended = new Promise<void>((resolve, reject) => {
      start((error) => (error ? reject(error) : resolve()));
    });
    await Promise.race([ended, this.#written]).catch((error: unknown) => this.#fail(error));
  }

  /** What ended the file explains more than what it did to the entry that was being written. */
  async #fail(error: unknown): Promise<never> {
    this.#pack.destroy();
    const reason: unknown = await this.#written.then(
      () => error,
      (cause: unknown) => cause,
    );
    const { code } = reason as NodeJS.ErrnoException;
    if (error instanceof MeshError || code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    throw new MeshError(
      isFull ? 'MESH1208' : 'MESH1212',
      `${this.#path} cannot be written${isFull ? ': the disk is full' : ''}`,
      { evidence: (reason as Error).message, cause: reason },
    );
  }
}

/** Nothing of the machine and the moment is in the archive. */
const entry = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'file' } as const;

/** Each image by its tag, and once more by its digest: for containers that ask for it so. */
function indexOf(names: readonly NamedRoot[]): object {
  const manifests = names.flatMap(({ name, root }) => {
    const { digest, size, mediaType, platform } = root;
    const plain = {
      mediaType,
      digest,
      size,
      ...(platform === undefined ? {} : { platform: platformDocument(platform) }),
    };
    const parsed = parseImageReference(name);
    const byDigest = parsed === undefined ? name : `${parsed.registry}/${parsed.repository}@${digest}`;
    return [
      { ...plain, annotations: nameAnnotations(name) },
      { ...plain, annotations: nameAnnotations(byDigest) },
    ];
  });
  return { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
}
