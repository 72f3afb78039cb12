import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

const headersMaxBytes = 64 * 1024;

const headerNames = [
  'options',
  'head',
  'post',
  'put',
  'delete',
  'trace',
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'age',
  'allow',
  'authorization',
  'cache-control',
  'connection',
  'content-base',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expect',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'server',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'vary',
  'via',
  'warning',
  'www-authenticate',
  'method',
  'get',
  'status',
  '200 OK',
  'version',
  'HTTP/1.1',
  'url',
  'public',
  'set-cookie',
  'keep-alive',
  'origin',
]; // prettier-ignore
const tail =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

/** The compression dictionary that SPDY/3 fixes for header blocks; zlib itself checks that peers agree on it. */
function dictionary(): Buffer {
  const parts = headerNames.map((name) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(name.length);
    return Buffer.concat([length, Buffer.from(name)]);
  });
  return Buffer.concat([...parts, Buffer.from(tail)]);
}

function run(codec: Inflate | Deflate, input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      // A small block may inflate to anything.
      if (size > headersMaxBytes) codec.destroy(new Error('header block is too large'));
      else chunks.push(chunk);
    };
    codec.on('data', onData);
    codec.once('error', reject);
    codec.write(input, () => {
      codec.off('data', onData);
      codec.off('error', reject);
      resolve(Buffer.concat(chunks));
    });
  });
}

/** Reads and writes the header blocks of one connection; both directions keep one compression state each. */
export class SpdyHeaders {
  readonly #inflate = createInflate({
    dictionary: dictionary(),
    flush: constants.Z_SYNC_FLUSH,
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  readonly #deflate = createDeflate({ dictionary: dictionary(), flush: constants.Z_SYNC_FLUSH });

  constructor() {
    // Errors reach the caller through decode and encode.
    this.#inflate.on('error', () => undefined);
    this.#deflate.on('error', () => undefined);
  }

  /** Header names are lower case. Throws for malformed blocks. */
  async decode(block: Buffer): Promise<Map<string, string>> {
    const data = await run(this.#inflate, block);
    const headers = new Map<string, string>();
    let at = 4;
    const text = (): string => {
      const length = data.readUInt32BE(at);
      const value = data.toString('utf8', at + 4, at + 4 + length);
      at += 4 + length;
      return value;
    };
    for (let left = data.readUInt32BE(0); left > 0; left--) {
      const name = text();
      headers.set(name.toLowerCase(), text());
    }
    return headers;
  }

  async encode(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    const parts: Buffer[] = [];
    const number = (value: number): void => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      parts.push(bytes);
    };
    number(headers.size);
    for (const pair of headers) {
      for (const text of pair) {
        const bytes = Buffer.from(text);
        number(bytes.length);
        parts.push(bytes);
      }
    }
    return run(this.#deflate, Buffer.concat(parts));
  }

  close(): void {
    this.#inflate.destroy();
    this.#deflate.destroy();
  }
}
