import type { IncomingHttpHeaders } from 'node:http';
import { Transform } from 'node:stream';
import { promisify } from 'node:util';
import { deflateRaw, gunzip, gzip, inflateRaw } from 'node:zlib';
import { type PagePlace, withLinksBehind } from './html-links.js';

/** Longer pages pass as they are. */
const pageMaxBytes = 8 * 1024 * 1024;

interface Coding {
  readonly decode: (bytes: Buffer) => Promise<Buffer>;
  readonly encode: (bytes: Buffer) => Promise<Buffer>;
}

const same = (bytes: Buffer): Promise<Buffer> => Promise.resolve(bytes);
const limit = { maxOutputLength: pageMaxBytes };
const codings: Readonly<Record<string, Coding>> = {
  '': { decode: same, encode: same },
  gzip: { decode: (bytes) => promisify(gunzip)(bytes, limit), encode: (bytes) => promisify(gzip)(bytes) },
  deflate: {
    decode: (bytes) => promisify(inflateRaw)(bytes, limit),
    encode: (bytes) => promisify(deflateRaw)(bytes),
  },
};

/** Leads the links of a page that passes behind the proxy; undefined when the answer is no page that can be read. */
export function pageStream(headers: IncomingHttpHeaders, at: PagePlace): Transform | undefined {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim();
  const coding = codings[headers['content-encoding'] ?? ''];
  if (type !== 'text/html' || headers.location !== undefined || coding === undefined) return undefined;
  let held: Buffer[] | undefined = [];
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (held !== undefined && size <= pageMaxBytes) {
        held.push(chunk);
        done();
        return;
      }
      for (const each of held ?? []) this.push(each);
      held = undefined;
      done(null, chunk);
    },
    flush(done) {
      const bytes = Buffer.concat(held ?? []);
      rewritten(bytes, coding, at).then(
        (page) => done(null, page),
        // Not what its headers say: the client may make of it what it can.
        () => done(null, bytes),
      );
    },
  });
}

async function rewritten(bytes: Buffer, coding: Coding, at: PagePlace): Promise<Buffer> {
  const page = await coding.decode(bytes);
  // Bytes as characters: links are ASCII, and whatever else there is comes out as it went in.
  return coding.encode(Buffer.from(withLinksBehind(page.toString('latin1'), at), 'latin1'));
}
