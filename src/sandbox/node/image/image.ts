import type { ImageConfig } from '#base/oci/archive/image-config.js';

/** Where the root file system of an image's containers comes from. */
export type RootfsSource =
  /** Made anew for each container: fills an empty folder (as the supervisor sees it). */
  | { readonly kind: 'made'; readonly fill: (folder: string) => Promise<void> }
  /** A folder on the node that every container gets a writable view of. */
  | { readonly kind: 'folder'; readonly nodePath: string };

/** An image that is present on the node. */
export interface ContainerImage {
  /** The normalized reference, e.g. `docker.io/meshctl/tool:0.1.0`. */
  readonly reference: string;
  readonly id: string;
  readonly config: ImageConfig;
  readonly rootfs: RootfsSource;
  /** bubblewrap arguments, with paths on the node, that complete the file system below `/`. */
  readonly mountArgs: readonly string[];
}

/** An image as `status.images` of a node lists it. */
export interface ListedImage {
  readonly names: readonly string[];
  readonly sizeBytes: number;
}

/** Where images come from; several stores are asked in turn. */
export interface ImageStore {
  find(reference: string): ContainerImage | undefined;
  list(): readonly ListedImage[];
  /** Calls back whenever there may be an image that was missing before, until the signal aborts. */
  onChange(listener: () => void, signal: AbortSignal): void;
}
