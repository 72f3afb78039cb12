import type { Readable } from 'node:stream';
import type { Descriptor } from './descriptor.js';

/** Reads what an image consists of, by descriptor. Every answer is compared with its digest. */
export interface ImageContent {
  /** Where it is, for messages. */
  readonly place: string;
  /** An index, manifest or configuration: whole, in memory. Throws MESH0841, MESH1204 or MESH1205. */
  document(descriptor: Descriptor): Promise<Buffer>;
  /** Bytes of a blob from `start` on; those of a whole one are compared with the digest at their end. */
  blob(descriptor: Descriptor, start?: number): Promise<Readable>;
}

/** An image of a source: its name and where reading it begins. */
export interface SourceImage {
  /** Normalized, as `docker.io/meshctl/ztunnel:0.1.0`. */
  readonly name: string;
  /** Of its index or manifest. */
  readonly root: Descriptor;
  readonly content: ImageContent;
}
