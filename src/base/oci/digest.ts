import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';

const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Whether a text is a digest in one of the registered algorithms of the OCI image specification. */
export function isDigest(text: unknown): text is string {
  return typeof text === 'string' && digestPattern.test(text);
}

/** Where an OCI layout keeps the blob of a digest. */
export function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** The digest of bytes, as `sha256:...`. */
export function digestOf(bytes: Buffer, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** Passes data through and knows its digest when it has ended. */
export class DigestStream extends Transform {
  readonly #hash: Hash;
  readonly #algorithm: string;
  readonly #onBytes: (count: number) => void;

  /** `onBytes` may throw to end the stream. */
  constructor(algorithm: string, onBytes: (count: number) => void = () => undefined) {
    super();
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
    this.#onBytes = onBytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#onBytes(chunk.length);
      this.#hash.update(chunk);
      done(null, chunk);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Only after the end, and only once. */
  digest(): string {
    return `${this.#algorithm}:${this.#hash.digest('hex')}`;
  }
}

/** The algorithm part of a digest. */
export function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}
