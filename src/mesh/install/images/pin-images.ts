import { MeshError } from '#base/errors/mesh-error.js';
import { labelsOfImage } from '#base/oci/copy-image.js';
import { versionLabel } from '#base/oci/descriptor.js';
import { parseImageReference } from '#base/oci/reference.js';
import { readTemplateFiles } from '../../templates/files.js';
import type { ValueMap } from '../../templates/values.js';
import { givenPlatform, givenValues, supportedValues, type ValuesRequest } from '../values/effective.js';
import { type ComponentImage, neededImages, toolImage } from './component-images.js';
import type { ImageOrigin } from './image-origin.js';

/** An image with what its name stands for now. */
export interface PinnedImage extends ComponentImage {
  readonly digest: string;
}

/** The images that an installation with these values needs. Throws MESH0300 to MESH0303, MESH0316 or MESH1200. */
export function imagesFor(request: ValuesRequest, clientVersion: string): readonly ComponentImage[] {
  return neededImages(specFor(request, clientVersion));
}

/** The tool image of the same hub and tag. Throws as {@link imagesFor}. */
export function toolImageFor(request: ValuesRequest, clientVersion: string): string {
  return toolImage(specFor(request, clientVersion));
}

/** Images are the same on every platform. */
function specFor(request: ValuesRequest, clientVersion: string): ValueMap {
  const files = readTemplateFiles();
  const given = givenValues(files, request);
  return supportedValues(files, { given, platform: givenPlatform(given) ?? '', clientVersion }).spec;
}

/**
 * Finds out what the images are now. Throws as {@link ImageOrigin.find}, and MESH0352 when one is labeled with a version
 * that does not fit the objects this program makes.
 */
export async function pinImages(
  images: readonly ComponentImage[],
  origin: ImageOrigin,
  clientVersion: string,
): Promise<readonly PinnedImage[]> {
  const pinned: PinnedImage[] = [];
  for (const image of images) {
    const found = await origin.find(image.reference);
    const version = (await labelsOfImage(found))[versionLabel];
    if (version !== undefined && lineOf(version) !== undefined && lineOf(version) !== lineOf(clientVersion))
      throw new MeshError(
        'MESH0352',
        `${image.reference} is of version ${version}, this meshctl is ${clientVersion}`,
        {
          hint: `Name an image of ${clientVersion} (--tag), or install with meshctl ${version}.`,
        },
      );
    pinned.push({ ...image, digest: found.root.digest });
  }
  return pinned;
}

/** `1.2` of `1.2.3`: what fits together; undefined for what is no version, such as `dev`. */
function lineOf(version: string): string | undefined {
  return /^v?(\d+\.\d+)\./.exec(version)?.[1];
}

/** The reference of exactly this image; its tag stays, for people. */
export function pinnedReference({ reference, digest }: PinnedImage): string {
  return parseImageReference(reference)?.digest === undefined ? `${reference}@${digest}` : reference;
}

/** Values, as `-f` takes them, by which an installation uses exactly these images. */
export function pinnedValues(images: readonly PinnedImage[]): ValueMap {
  const values: Record<string, ValueMap> = {};
  for (const image of images) {
    const [, ...path] = image.valuePath.split('.');
    const [first = '', ...rest] = path;
    const inner = rest.reduceRight<ValueMap | string>(
      (value, key) => ({ [key]: value }),
      pinnedReference(image),
    );
    values[first] = { ...values[first], ...(typeof inner === 'string' ? {} : inner) };
  }
  return { values };
}

/** The request with every image pinned; what it names by digest stays. */
export function withPins(request: ValuesRequest, images: readonly PinnedImage[]): ValuesRequest {
  const pins = images.map((image) => `${image.valuePath}=${pinnedReference(image)}`);
  return { ...request, setString: [...(request.setString ?? []), ...pins] };
}
