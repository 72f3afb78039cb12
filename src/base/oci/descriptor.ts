import { isRecord } from '../collections/is-record.js';
import { damaged } from './limits.js';
import { isDigest } from './digest.js';
import { imagePlatformOf, type Platform } from './platform.js';

/** A JSON document of an image: index, manifest or configuration. */
export type Document = Readonly<Record<string, unknown>>;

/** A content descriptor (OCI image specification). */
export interface Descriptor {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: string;
  readonly platform: Platform | undefined;
  readonly annotations: Document;
}

/** Media types of what this program writes. */
export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  gzipLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  inToto: 'application/vnd.in-toto+json',
} as const;

/** What docker writes in the place of the above. */
const dockerTypes = {
  index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
} as const;

/** What a registry may answer when it is asked for an image. */
export const manifestTypes: readonly string[] = [
  mediaTypes.index,
  mediaTypes.manifest,
  dockerTypes.index,
  dockerTypes.manifest,
];

/** The version of what is in an image, as its labels have it (OCI image specification). */
export const versionLabel = 'org.opencontainers.image.version';

const imageNameAnnotation = 'io.containerd.image.name';
const refNameAnnotation = 'org.opencontainers.image.ref.name';
const referenceTypeAnnotation = 'vnd.docker.reference.type';

/** Whether a descriptor is of something that tells about an image (SBOM, provenance) and is none. */
export function isAttestation({ annotations }: Descriptor): boolean {
  return annotations[referenceTypeAnnotation] !== undefined;
}

/** Whether a document lists manifests of several platforms. */
export function isIndex(document: Document): boolean {
  return Array.isArray(document['manifests']);
}

/** Charts, signatures and other artifacts have configurations of their own media types. */
export function isImageManifest(manifest: Document): boolean {
  const config = isRecord(manifest['config']) ? manifest['config']['mediaType'] : undefined;
  return (
    typeof config === 'string' &&
    /^application\/vnd\.(oci\.image\.config\.v1|docker\.container\.image\.v1)\+json$/.test(config)
  );
}

/** The descriptors in a list of an index or manifest. Throws MESH0841. */
export function descriptorsOf(document: Document, list: 'manifests' | 'layers' = 'manifests'): Descriptor[] {
  const items: unknown = document[list];
  return (Array.isArray(items) ? items : []).map((item: unknown) => {
    const descriptor = isRecord(item) ? descriptorOf(item) : undefined;
    if (descriptor === undefined) throw damaged(`${list} lists something without a digest`);
    return descriptor;
  });
}

/** Reads a descriptor; undefined when it is none. */
export function descriptorOf(item: Document): Descriptor | undefined {
  const { digest, size, mediaType, platform, annotations } = item;
  if (!isDigest(digest) || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    return undefined;
  return {
    digest,
    size,
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    platform: isRecord(platform) ? imagePlatformOf(platform) : undefined,
    annotations: isRecord(annotations) ? annotations : {},
  };
}

/** The name of an image: containerd's annotation is a whole reference, the standard's often only a tag. */
export function annotatedName(annotations: Document): string {
  for (const key of [imageNameAnnotation, refNameAnnotation]) {
    const value = annotations[key];
    if (typeof value === 'string' && value !== '') return value;
  }
  return '';
}

/** Annotations that name an image of a layout: containerd's, and the standard's. */
export function nameAnnotations(name: string): Record<string, string> {
  return { [imageNameAnnotation]: name, [refNameAnnotation]: name };
}
