import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mediaTypes, nameAnnotations, versionLabel } from '../../src/base/oci/descriptor.js';
import { blobPath, digestOf } from '../../src/base/oci/digest.js';
import type { FileTree } from './file-tree.js';
import type { ImageDefinition } from './image-list.js';
import { type Architecture, architectures } from './lock.js';

/** A descriptor as it is written. */
export interface WrittenDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface LayerDescriptor extends WrittenDescriptor {
  readonly diffId: string;
}

/** An image of one platform in the layout. */
export interface PlatformImage {
  readonly architecture: Architecture;
  readonly manifest: WrittenDescriptor;
  /** Compressed, all layers. */
  readonly layerBytes: number;
}

const epoch = '1970-01-01T00:00:00Z';

/** Writes an OCI layout: blobs first, index.json at the end. */
export class LayoutWriter {
  readonly #folder: string;
  readonly #layers = new Map<FileTree, LayerDescriptor>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
  }

  /** Writes an image of one platform. Layers that several images have are written once. */
  async image(
    definition: ImageDefinition,
    o: { architecture: Architecture; version: string; layers: readonly FileTree[] },
  ): Promise<PlatformImage> {
    const layers: LayerDescriptor[] = [];
    for (const tree of o.layers) layers.push(await this.#layer(tree));
    const labels = labelsOf(definition, o.version);
    const [file = '', ...args] = definition.program;
    const entrypoint =
      definition.command === undefined
        ? ['/usr/local/bin/node', `/opt/meshctl/bin/${file}`, ...args]
        : [`/usr/local/bin/${definition.command}`];
    const config = this.#json(mediaTypes.config, {
      architecture: o.architecture,
      os: 'linux',
      created: epoch,
      config: {
        User: definition.user,
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'NODE_ENV=production'],
        Entrypoint: entrypoint,
        WorkingDir: '/',
        Labels: labels,
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(() => ({ created: epoch, created_by: 'npm run images' })),
    });
    const manifest = this.#json(mediaTypes.manifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config,
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
      annotations: labels,
    });
    return {
      architecture: o.architecture,
      manifest: { ...manifest, platform: { architecture: o.architecture, os: 'linux' } },
      layerBytes: layers.reduce((sum, { size }) => sum + size, 0),
    };
  }

  /** Writes statements about an image, as BuildKit attaches them: a manifest beside that of the image. */
  attestation(image: PlatformImage, statements: Readonly<Record<string, object>>): WrittenDescriptor {
    const layers = Object.entries(statements).map(([predicateType, statement]) => ({
      ...this.#json(mediaTypes.inToto, statement),
      annotations: { 'in-toto.io/predicate-type': predicateType },
    }));
    const platform = { architecture: 'unknown', os: 'unknown' };
    const config = this.#json(mediaTypes.config, {
      ...platform,
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    });
    return {
      ...this.#json(mediaTypes.manifest, {
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config,
        layers,
      }),
      platform,
      annotations: {
        'vnd.docker.reference.digest': image.manifest.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
    };
  }

  /** Writes the index of an image of several platforms. */
  index(
    manifests: readonly WrittenDescriptor[],
    annotations: Readonly<Record<string, string>>,
  ): WrittenDescriptor {
    return this.#json(mediaTypes.index, {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests,
      annotations,
    });
  }

  /** Makes the layout readable: these images are in it. */
  finish(images: readonly { readonly name: string; readonly index: WrittenDescriptor }[]): void {
    const manifests = images.map(({ name, index }) => ({ ...index, annotations: nameAnnotations(name) }));
    writeFileSync(join(this.#folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(
      join(this.#folder, 'index.json'),
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }),
    );
  }

  async #layer(tree: FileTree): Promise<LayerDescriptor> {
    const known = this.#layers.get(tree);
    if (known !== undefined) return known;
    const written = await tree.write(join(this.#folder, 'blobs', 'layer'));
    renameSync(written.path, join(this.#folder, blobPath(written.digest)));
    const { digest, size, diffId } = written;
    const descriptor = { mediaType: mediaTypes.gzipLayer, digest, size, diffId };
    this.#layers.set(tree, descriptor);
    return descriptor;
  }

  #json(mediaType: string, document: object): WrittenDescriptor {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    writeFileSync(join(this.#folder, blobPath(digest)), bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

/** Labels and annotations of an image, as the OCI image specification names them. */
export function labelsOf({ title, description }: ImageDefinition, version: string): Record<string, string> {
  return {
    'org.opencontainers.image.title': title,
    'org.opencontainers.image.description': description,
    [versionLabel]: version,
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.vendor': 'meshctl',
    'org.opencontainers.image.created': epoch,
  };
}

/** Architectures a list of words names; all without any. Throws what is unknown. */
export function architecturesOf(words: readonly string[]): readonly Architecture[] {
  if (words.length === 0) return architectures;
  return words.map((word) => {
    const found = architectures.find((a) => word === a || word === `linux/${a}`);
    if (found === undefined)
      throw new Error(`unknown platform ${word}: it is one of linux/${architectures.join(', linux/')}`);
    return found;
  });
}
