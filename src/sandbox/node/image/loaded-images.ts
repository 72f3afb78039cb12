import { mkdirSync, watch } from 'node:fs';
import type { ContainerImage, ImageStore, ListedImage } from './image.js';
import { formatImageReference, type ImageReference, parseImageReference } from '#base/oci/reference.js';
import { type NameRecord, readImageRecord, readName, readNames } from './store/records.js';
import { imageFiles, storePaths } from './store/store-paths.js';

export interface LoadedImagesOptions {
  /** The store as the supervisor sees it. */
  readonly folder: string;
  /** The same store as nodes see it. */
  readonly nodeFolder: string;
}

/** Images that `importArchive` has put into a store; one loaded meanwhile is found at the next look. */
export class LoadedImages implements ImageStore {
  readonly #o: LoadedImagesOptions;

  constructor(options: LoadedImagesOptions) {
    this.#o = options;
  }

  find(reference: string): ContainerImage | undefined {
    const parsed = parseImageReference(reference);
    const name = parsed === undefined ? undefined : this.#lookUp(parsed);
    const image = name === undefined ? undefined : readImageRecord(this.#o.folder, name.imageId);
    if (parsed === undefined || name === undefined || image === undefined) return undefined;
    return {
      reference: name.reference,
      id: repositoryDigest(name) ?? image.id,
      config: image.config,
      rootfs: {
        kind: 'folder',
        nodePath: imageFiles.rootfs(storePaths.image(this.#o.nodeFolder, image.id)),
      },
      mountArgs: [],
    };
  }

  list(): readonly ListedImage[] {
    const byId = new Map<string, { names: Set<string>; sizeBytes: number }>();
    for (const name of readNames(this.#o.folder)) {
      const sizeBytes = readImageRecord(this.#o.folder, name.imageId)?.sizeBytes;
      if (sizeBytes === undefined) continue;
      const entry = byId.get(name.imageId) ?? { names: new Set<string>(), sizeBytes };
      const digest = repositoryDigest(name);
      if (digest !== undefined) entry.names.add(digest);
      entry.names.add(name.reference);
      byId.set(name.imageId, entry);
    }
    return [...byId.values()].map(({ names, sizeBytes }) => ({ names: [...names].sort(), sizeBytes }));
  }

  /** Without it (the kernel has no watch left) an image is found when a container is tried the next time. */
  onChange(listener: () => void, signal: AbortSignal): void {
    const names = storePaths.names(this.#o.folder);
    try {
      mkdirSync(names, { recursive: true, mode: 0o700 });
      const watcher = watch(names, { signal, persistent: false }, listener);
      watcher.on('error', () => watcher.close());
    } catch {
      return;
    }
  }

  /** A digest names an image of the same repository, whatever its tag. */
  #lookUp(parsed: ImageReference): NameRecord | undefined {
    const { digest } = parsed;
    if (digest === undefined) return readName(this.#o.folder, formatImageReference(parsed));
    const repository = `${parsed.registry}/${parsed.repository}:`;
    return readNames(this.#o.folder).find(
      (name) =>
        name.reference.startsWith(repository) && (name.digests.includes(digest) || name.imageId === digest),
    );
  }
}

/** `repository@digest`, as registries know the image; undefined for archives without digests. */
function repositoryDigest({ reference, digests: [digest] }: NameRecord): string | undefined {
  if (digest === undefined) return undefined;
  return `${reference.slice(0, reference.lastIndexOf(':'))}@${digest}`;
}
