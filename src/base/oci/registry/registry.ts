import type { ImageSink } from '../copy-image.js';
import type { Descriptor } from '../descriptor.js';
import type { ImageContent, SourceImage } from '../image-source.js';
import { formatImageReference, type ImageReference, requireImageReference } from '../reference.js';
import { uploadBlob } from './blob-upload.js';
import type { CredentialLookup } from './credentials.js';
import { Repository } from './repository.js';
import { Transport } from './transport.js';

export interface RegistriesOptions {
  readonly credentials: CredentialLookup;
  /** HTTP without TLS for every registry. Those of this machine are asked so anyway, unless `ca` is given. */
  readonly isPlain: boolean;
  /** PEM of further authorities. */
  readonly ca?: string | undefined;
  readonly signal: AbortSignal;
}

/** Registries, as many as references name. */
export class Registries {
  readonly #o: RegistriesOptions;
  readonly #transport: Transport;
  /** Blob -> repository of a registry that has it, by registry. */
  readonly #homes = new Map<string, string>();

  constructor(options: RegistriesOptions) {
    this.#o = options;
    this.#transport = new Transport({ ca: options.ca, signal: options.signal });
  }

  /** The image of a name. Throws MESH1200 to MESH1211. */
  async image(name: string): Promise<SourceImage> {
    const reference = requireImageReference(name);
    const content = this.#repository(reference, { isTarget: false });
    const root = await content.resolve(reference.digest ?? reference.tag);
    return { name: formatImageReference(reference), root, content };
  }

  /** Where images of these names go. Blobs that one of them has are mounted into the others. */
  sink(names: readonly string[]): (name: string) => ImageSink {
    const references = names.map(requireImageReference);
    return (name) => {
      const reference = requireImageReference(name);
      const { registry, repository } = reference;
      const siblings = references.filter((r) => r.registry === registry).map((r) => r.repository);
      const target = this.#repository(reference, { isTarget: true, siblings });
      return new RepositorySink(target, {
        homeOf: (digest) => this.#homes.get(`${registry} ${digest}`),
        has: (digest) => void this.#homes.set(`${registry} ${digest}`, repository),
      });
    };
  }

  close(): void {
    this.#transport.close();
  }

  #repository(
    { registry, repository }: ImageReference,
    o: { isTarget: boolean; siblings?: readonly string[] },
  ): Repository {
    const { credentials, signal, ca } = this.#o;
    const isPlain = this.#o.isPlain || (ca === undefined && isOfThisMachine(registry));
    return new Repository({
      registry,
      repository,
      credentials,
      signal,
      isPlain,
      transport: this.#transport,
      ...o,
    });
  }
}

class RepositorySink implements ImageSink {
  readonly #repository: Repository;
  readonly #blobs: { homeOf: (digest: string) => string | undefined; has: (digest: string) => void };
  readonly #manifests = new Map<string, Buffer>();

  constructor(
    repository: Repository,
    blobs: { homeOf: (digest: string) => string | undefined; has: (digest: string) => void },
  ) {
    this.#repository = repository;
    this.#blobs = blobs;
  }

  async putBlob(
    descriptor: Descriptor,
    content: ImageContent,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const from = this.#blobs.homeOf(descriptor.digest);
    await uploadBlob(this.#repository, descriptor, { content, from, onBytes });
    this.#blobs.has(descriptor.digest);
  }

  async putManifest(descriptor: Descriptor, bytes: Buffer): Promise<void> {
    this.#manifests.set(descriptor.digest, bytes);
    await this.#put(descriptor.digest, descriptor, bytes);
  }

  async putName(name: string, root: Descriptor): Promise<void> {
    const bytes = this.#manifests.get(root.digest);
    const { tag } = requireImageReference(name);
    if (bytes !== undefined) await this.#put(tag, root, bytes);
  }

  async #put(tagOrDigest: string, { mediaType }: Descriptor, bytes: Buffer): Promise<void> {
    const answer = await this.#repository.request(`manifests/${tagOrDigest}`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: () => Promise.resolve(bytes),
      expect: [200, 201, 202],
      what: `${this.#repository.place}:${tagOrDigest}`,
    });
    answer.body.resume();
  }
}

/** As docker has it: what listens on the loopback address needs no TLS. */
function isOfThisMachine(registry: string): boolean {
  return /^(localhost|127(\.\d+){3})(:\d+)?$/.test(registry);
}
