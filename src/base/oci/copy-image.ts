import { isRecord } from '../collections/is-record.js';
import { MeshError } from '../errors/mesh-error.js';
import {
  type Descriptor,
  descriptorOf,
  descriptorsOf,
  type Document,
  isAttestation,
  isIndex,
  mediaTypes,
} from './descriptor.js';
import { digestOf } from './digest.js';
import type { ImageContent, SourceImage } from './image-source.js';
import { damaged } from './limits.js';
import { formatPlatform, imagePlatformOf, type Platform, platformRank } from './platform.js';

/** Where images go. Blobs of an image arrive before its manifests, the named one last. */
export interface ImageSink {
  /** Resolves when the blob is there, whether it had been or not. */
  putBlob(descriptor: Descriptor, content: ImageContent, onBytes: (count: number) => void): Promise<void>;
  putManifest(descriptor: Descriptor, bytes: Buffer): Promise<void>;
  /** From now on the name stands for the manifest. */
  putName(name: string, root: Descriptor): Promise<void>;
}

export interface CopyOptions {
  /** Those of a multi-platform image to take; without it all of them, with their attestations. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Name in the sink; default the source's. */
  readonly name?: string | undefined;
  readonly signal: AbortSignal;
  /** Bytes handed over so far, and of the whole image. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What has become of an image at its sink. */
export interface CopiedImage {
  readonly name: string;
  readonly digest: string;
  /** Of all blobs and manifests. */
  readonly sizeBytes: number;
  readonly platforms: readonly string[];
}

/** A manifest with what belongs to it. */
interface Part {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly blobs: readonly Descriptor[];
}

const manifestsMax = 200;

/**
 * Copies an image. With platforms chosen the name stands for less than it did, and for another digest. Throws MESH1209
 * when a chosen platform is missing, and what source and sink throw.
 */
export async function copyImage(image: SourceImage, sink: ImageSink, o: CopyOptions): Promise<CopiedImage> {
  const { root, parts } = await partsOf(image, o.platforms);
  const blobs = new Map(parts.flatMap(({ blobs: list }) => list.map((blob) => [blob.digest, blob])));
  const total = [...blobs.values(), ...parts.map(({ descriptor }) => descriptor)];
  const totalBytes = total.reduce((sum, { size }) => sum + size, 0);
  let doneBytes = 0;
  const advance = (count: number): void => {
    doneBytes += count;
    o.onProgress?.(Math.min(doneBytes, totalBytes), totalBytes);
  };
  for (const blob of blobs.values()) {
    o.signal.throwIfAborted();
    let counted = 0;
    await sink.putBlob(blob, image.content, (count) => {
      counted += count;
      advance(count);
    });
    advance(blob.size - counted); // what the sink had already
  }
  for (const { descriptor, bytes } of parts) {
    o.signal.throwIfAborted();
    await sink.putManifest(descriptor, bytes);
    advance(bytes.length);
  }
  const name = o.name ?? image.name;
  await sink.putName(name, root);
  const platforms = parts.flatMap(({ descriptor: d }) =>
    d.platform === undefined || isAttestation(d) ? [] : [formatPlatform(d.platform)],
  );
  return { name, digest: root.digest, sizeBytes: totalBytes, platforms: [...new Set(platforms)] };
}

/** Labels of an image, of whichever platform comes first. Throws what its content does. */
export async function labelsOfImage({
  root,
  content,
}: SourceImage): Promise<Readonly<Record<string, string>>> {
  let document = parsed(await content.document(root), root);
  if (isIndex(document)) {
    const first = descriptorsOf(document).find((child) => !isAttestation(child));
    if (first === undefined) return {};
    document = parsed(await content.document(first), first);
  }
  const descriptor = isRecord(document['config']) ? descriptorOf(document['config']) : undefined;
  if (descriptor === undefined) return {};
  const { config } = parsed(await content.document(descriptor), descriptor);
  const labels = isRecord(config) && isRecord(config['Labels']) ? config['Labels'] : {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** The manifests to copy, children first, and the one that gets the name. */
async function partsOf(
  { name, root, content }: SourceImage,
  platforms: readonly Platform[] | undefined,
): Promise<{ root: Descriptor; parts: readonly Part[] }> {
  const bytes = await content.document(root);
  const document = parsed(bytes, root);
  if (!isIndex(document)) {
    const part = await manifestPart({ ...root, platform: await platformOf(document, content) }, bytes);
    if (platforms !== undefined) chosen([part.descriptor], platforms, name);
    return { root, parts: [part] };
  }
  const children = descriptorsOf(document);
  if (children.length > manifestsMax)
    throw damaged(`${root.digest} lists more than ${manifestsMax} manifests`);
  const wanted = platforms === undefined ? children : chosen(children, platforms, name);
  const parts: Part[] = [];
  for (const child of wanted) parts.push(await manifestPart(child, await content.document(child)));
  const [only] = wanted;
  if (platforms !== undefined && wanted.length === 1 && only !== undefined) return { root: only, parts };
  const index = platforms === undefined ? bytes : indexOf(document, wanted);
  const descriptor =
    platforms === undefined ? root : { ...root, size: index.length, digest: digestOf(index) };
  return { root: descriptor, parts: [...parts, { descriptor, bytes: index, blobs: [] }] };
}

async function manifestPart(descriptor: Descriptor, bytes: Buffer): Promise<Part> {
  const document = parsed(bytes, descriptor);
  if (isIndex(document)) throw damaged(`${descriptor.digest}: an index within an index`);
  const config = isRecord(document['config']) ? descriptorOf(document['config']) : undefined;
  if (config === undefined) throw damaged(`the manifest ${descriptor.digest} names no configuration`);
  return Promise.resolve({ descriptor, bytes, blobs: [config, ...descriptorsOf(document, 'layers')] });
}

/** Of an image that is no index, its configuration says what it is for. */
async function platformOf(manifest: Document, content: ImageContent): Promise<Platform | undefined> {
  const config = isRecord(manifest['config']) ? descriptorOf(manifest['config']) : undefined;
  return config === undefined ? undefined : imagePlatformOf(parsed(await content.document(config), config));
}

/** The best child for each platform that is asked for. */
function chosen(children: readonly Descriptor[], platforms: readonly Platform[], name: string): Descriptor[] {
  const images = children.filter((child) => child.platform !== undefined && !isAttestation(child));
  return platforms.map((wanted) => {
    const [best] = images
      .map((child) => ({ child, rank: child.platform && platformRank(child.platform, wanted) }))
      .filter(({ child, rank }) => rank !== undefined && child.platform?.architecture === wanted.architecture)
      .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
    if (best !== undefined) return best.child;
    const offered = images.flatMap(({ platform }) =>
      platform === undefined ? [] : [formatPlatform(platform)],
    );
    throw new MeshError('MESH1209', `${name} is not there for ${formatPlatform(wanted)}`, {
      evidence: offered.length === 0 ? 'it does not say what it is for' : `it is for ${offered.join(', ')}`,
    });
  });
}

/** The index with some of its manifests only, as their descriptors stand in it. */
function indexOf(document: Document, wanted: readonly Descriptor[]): Buffer {
  const digests = new Set(wanted.map(({ digest }) => digest));
  const manifests = (document['manifests'] as readonly Document[]).filter(({ digest }) =>
    digests.has(String(digest)),
  );
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }));
}

function parsed(bytes: Buffer, { digest }: Descriptor): Document {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (isRecord(value)) return value;
  } catch (error) {
    throw damaged(`${digest} is not JSON`, error);
  }
  throw damaged(`${digest} is no manifest`);
}
