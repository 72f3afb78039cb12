import { existsSync } from 'node:fs';
import { MeshError } from '#base/errors/mesh-error.js';
import { type ArchiveSource, openArchiveSource } from '#base/oci/archive-source.js';
import type { SourceImage } from '#base/oci/image-source.js';
import { formatImageReference, type ImageReference, requireImageReference } from '#base/oci/reference.js';
import type { Registries } from '#base/oci/registry/registry.js';

/** Where the images of an installation are taken from. */
export interface ImageOrigin {
  /** The image that is meant by a name of the installation. Throws MESH0350, or MESH1200 to MESH1211. */
  find(name: string): Promise<SourceImage>;
  close(): Promise<void>;
}

/**
 * Opens where images come from: an archive or a folder with an OCI layout where there is such a file, otherwise a hub
 * (registry and path); without a source the registries that the names themselves name.
 */
export async function openImageOrigin(
  source: string | undefined,
  o: { readonly registries: Registries; readonly signal: AbortSignal },
): Promise<ImageOrigin> {
  if (source !== undefined && (existsSync(source) || /^\.?\//.test(source) || source.endsWith('.tar')))
    return archiveOrigin(source, await openArchiveSource(source, o.signal));
  return {
    find: (name) =>
      o.registries.image(source === undefined ? name : movedTo(source, requireImageReference(name))),
    close: () => Promise.resolve(),
  };
}

function archiveOrigin(path: string, archive: ArchiveSource): ImageOrigin {
  return {
    find: (name) => {
      const wanted = requireImageReference(name);
      const exact = archive.images.find((image) => image.name === formatImageReference(wanted));
      const alike = archive.images.filter((image) => isAlike(requireImageReference(image.name), wanted));
      const found =
        exact ?? (new Set(alike.map(({ root }) => root.digest)).size === 1 ? alike[0] : undefined);
      if (found !== undefined) return Promise.resolve(found);
      const held = archive.images.map((image) => image.name);
      throw new MeshError('MESH0350', `${path} does not hold ${name}`, {
        evidence:
          held.length === 0 ? 'it holds no image with a name' : `it holds ${[...new Set(held)].join(', ')}`,
      });
    },
    close: () => archive.close(),
  };
}

/** The same image under another hub. */
function isAlike(one: ImageReference, other: ImageReference): boolean {
  return lastPart(one) === lastPart(other) && one.tag === other.tag;
}

function movedTo(hub: string, reference: ImageReference): string {
  return `${hub}/${lastPart(reference)}:${reference.tag}`;
}

function lastPart({ repository }: ImageReference): string {
  return repository.slice(repository.lastIndexOf('/') + 1);
}
