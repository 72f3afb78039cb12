import { METHODS } from 'node:http';

/** What the first bytes of a connection are; `more` when they do not tell yet. */
export type Sniffed = 'http1' | 'http2' | 'tcp' | 'more';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** A first line longer than this is not waited for. Bounds what is held back. */
export const sniffMaxBytes = 16 * 1024;

const space = 0x20;
const lineFeed = 0x0a;

/** Every way a request line can begin, up to the blank after the method: the methods Node's parser knows. */
const methodPrefixes: ReadonlySet<string> = new Set(
  METHODS.flatMap((method) =>
    Array.from({ length: method.length + 1 }, (_, i) => `${method} `.slice(0, i + 1)),
  ),
);

const methodMaxBytes = Math.max(...METHODS.map(({ length }) => length));

/**
 * Tells HTTP by the first bytes: an HTTP/2 preface, or a complete HTTP/1 request line. The first byte that cannot
 * continue either makes it TCP (most other protocols are told by byte one), and policy treats TCP as the stricter case.
 */
export function sniff(bytes: Buffer): Sniffed {
  const http2 = sniffPreface(bytes);
  if (http2 !== 'no') return http2;
  const blank = bytes.indexOf(space);
  const prefix = bytes.toString(
    'latin1',
    0,
    Math.min(blank < 0 ? bytes.length : blank + 1, methodMaxBytes + 1),
  );
  if (prefix !== '' && !methodPrefixes.has(prefix)) return 'tcp';
  if (blank < 0) return 'more';
  return sniffRequestLine(bytes);
}

/** Whether a connection on a port declared as HTTP speaks HTTP/2; HTTP/1 parsing judges the rest. */
export function sniffHttpVersion(bytes: Buffer): 'http1' | 'http2' | 'more' {
  const http2 = sniffPreface(bytes);
  return http2 === 'no' ? 'http1' : http2;
}

function sniffPreface(bytes: Buffer): 'http2' | 'more' | 'no' {
  const shared = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, shared, 0, shared) !== 0) return 'no';
  return shared === preface.length ? 'http2' : 'more';
}

/** What is behind a known method: a target, a version and the end of the line (RFC 9112 3). */
function sniffRequestLine(bytes: Buffer): Sniffed {
  const end = bytes.indexOf(lineFeed);
  if (end < 0) return bytes.length >= sniffMaxBytes ? 'tcp' : 'more';
  // What is wrong with the target is the parser's to answer, so that a backend does not get to guess.
  return / HTTP\/1\.[01]\r?$/.test(bytes.toString('latin1', 0, end)) ? 'http1' : 'tcp';
}
