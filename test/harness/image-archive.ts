import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

/** A tar entry; a text is the content of a file. */
export type TarEntry = Partial<Header> & Pick<Header, 'name'> & { readonly content?: string | Buffer };

/** What an image configuration's `config` may hold. */
export interface RunConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

/** An image to be put into an archive. */
export interface ImageParts {
  readonly name?: string;
  /** Uncompressed tars, lowest first. */
  readonly layers: readonly Buffer[];
  readonly config?: RunConfig;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
  /** Default: gzip. */
  readonly compress?: (layer: Buffer) => Buffer;
}

type Files = Map<string, Buffer>;

export interface BlobDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A tar with these entries, in order. */
export async function tarOf(entries: readonly TarEntry[]): Promise<Buffer> {
  const archive = pack();
  const bytes = buffer(archive);
  for (const { content, ...header } of entries) {
    const data = Buffer.from(content ?? '');
    archive.entry({ mtime: new Date(0), ...header }, data);
  }
  archive.finalize();
  return bytes;
}

/** The files of an OCI layout with these images, one descriptor in index.json each. */
export function ociLayout(images: readonly ImageParts[]): Files {
  const files: Files = new Map();
  const manifests = images.map((image) => ({
    ...addManifest(files, image),
    ...(image.name === undefined ? {} : { annotations: { 'io.containerd.image.name': image.name } }),
  }));
  return addIndex(files, manifests);
}

/** Writes index.json, and what marks a layout. */
export function addIndex(files: Files, manifests: readonly BlobDescriptor[]): Files {
  files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  return files.set('index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));
}

/** Adds the blobs of an image; returns the descriptor of its manifest. */
export function addManifest(files: Files, image: ImageParts): BlobDescriptor {
  const compress = image.compress ?? ((layer: Buffer) => gzipSync(layer));
  const layers = image.layers.map((layer) =>
    addBlob(files, 'application/vnd.oci.image.layer.v1.tar+gzip', compress(layer)),
  );
  const config = addBlob(files, 'application/vnd.oci.image.config.v1+json', configOf(image));
  const platform = image.platform ?? { os: 'linux', architecture };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  return { ...addBlob(files, mediaType, manifest), platform };
}

/** Adds an index blob over other manifests; returns its descriptor. */
export function addNestedIndex(files: Files, manifests: readonly BlobDescriptor[]): BlobDescriptor {
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  return addBlob(files, mediaType, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests })));
}

/** The files of what `docker save` wrote before it wrote OCI layouts. */
export function dockerArchive(images: readonly ImageParts[]): Files {
  const files: Files = new Map();
  const manifest = images.map((image) => {
    const config = configOf(image);
    const configName = `${sha256(config).slice(7)}.json`;
    files.set(configName, config);
    const layers = image.layers.map((layer) => {
      const name = `${sha256(layer).slice(7)}/layer.tar`;
      files.set(name, layer);
      return name;
    });
    return { Config: configName, RepoTags: image.name === undefined ? null : [image.name], Layers: layers };
  });
  return files.set('manifest.json', Buffer.from(JSON.stringify(manifest)));
}

/** An archive with these files. */
export function archiveOf(files: Files): Promise<Buffer> {
  return tarOf([...files].map(([name, content]) => ({ name, content })));
}

function addBlob(files: Files, mediaType: string, bytes: Buffer): BlobDescriptor {
  const digest = sha256(bytes);
  files.set(`blobs/${digest.replace(':', '/')}`, bytes);
  return { mediaType, digest, size: bytes.length };
}

function configOf({ layers, config, platform }: ImageParts): Buffer {
  const rootfs = { type: 'layers', diff_ids: layers.map((layer) => sha256(layer)) };
  return Buffer.from(
    JSON.stringify({ os: 'linux', architecture, ...platform, config: config ?? {}, rootfs }),
  );
}
