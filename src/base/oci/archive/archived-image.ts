import type { ArchiveFile } from './archive-files.js';
import type { ParsedConfig } from './image-config.js';

/** One image of an archive, its documents read and compared with their digests; its layers are not yet. */
export interface ArchivedImage {
  /** Names as the archive gives them, not normalized. */
  readonly names: readonly string[];
  /** Digest of the configuration: the image's id. */
  readonly id: string;
  /** Digests the image may be asked for by: of its manifest, and of the index that holds it. */
  readonly digests: readonly string[];
  readonly config: ParsedConfig;
  /** Lowest first, as many as `config.diffIds`. */
  readonly layers: readonly ArchivedLayer[];
}

export interface ArchivedLayer {
  readonly file: ArchiveFile;
  /** Digest of the file as it is in the archive; docker archives do not say. */
  readonly digest: string | undefined;
}
