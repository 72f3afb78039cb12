import { type Readable, Transform, type TransformCallback } from 'node:stream';
import zlib from 'node:zlib';

export type Compression = 'none' | 'gzip' | 'zstd';

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** RFC 8878, 3.1.2: 0x184D2A50 to 0x184D2A5F, little-endian. */
const zstdSkippable = Buffer.from([0x2a, 0x4d, 0x18]);
/** Bytes that tell the formats apart. */
export const magicBytes = 4;

/** The compression of data that begins with these bytes; media types are not believed. */
export function compressionOf(head: Buffer): Compression {
  if (head.subarray(0, gzipMagic.length).equals(gzipMagic)) return 'gzip';
  if (head.subarray(0, zstdMagic.length).equals(zstdMagic)) return 'zstd';
  const isSkippable = ((head[0] ?? 0) & 0xf0) === 0x50 && head.subarray(1, 4).equals(zstdSkippable);
  return isSkippable ? 'zstd' : 'none';
}

/** The compression of a file of an archive. */
export async function compressionOfFile(file: {
  readonly size: number;
  stream(): Readable;
}): Promise<Compression> {
  const head: Buffer[] = [];
  let length = 0;
  for await (const chunk of file.stream() as AsyncIterable<Buffer>) {
    head.push(chunk);
    length += chunk.length;
    if (length >= magicBytes) break;
  }
  return compressionOf(Buffer.concat(head).subarray(0, file.size));
}

/** A stream that undoes a compression; undefined when there is none. */
export async function decompressor(compression: Compression): Promise<Transform | undefined> {
  if (compression === 'none') return undefined;
  if (compression === 'gzip') return zlib.createGunzip();
  // Node 22.15 and later have zstd; Node 20 does not.
  const native: unknown = Reflect.get(zlib, 'createZstdDecompress');
  if (typeof native === 'function') return Reflect.apply(native, zlib, []) as Transform;
  const { Decompress } = await import('fzstd');
  return new ZstdStream(Decompress);
}

interface PushDecoder {
  push(chunk: Uint8Array, isLast?: boolean): void;
}

/** The pure JavaScript decoder as a stream. */
class ZstdStream extends Transform {
  readonly #decoder: PushDecoder;

  constructor(Decoder: new (onData: (data: Uint8Array) => void) => PushDecoder) {
    super();
    this.#decoder = new Decoder((data) => {
      // The decoder goes on using its window, so what leaves must be a copy.
      if (data.length > 0) this.push(Buffer.from(data));
    });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#feed(chunk, false, done);
  }

  override _flush(done: TransformCallback): void {
    this.#feed(new Uint8Array(0), true, done);
  }

  #feed(chunk: Uint8Array, isLast: boolean, done: TransformCallback): void {
    try {
      this.#decoder.push(chunk, isLast);
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
