/** What the first bytes of a connection are; `more` when they do not tell yet. */
export type Sniffed = 'http1' | 'http2' | 'tcp' | 'more';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** Longest method looked for; the longest registered one has 17 characters. */
const methodMaxBytes = 32;
/** A first line longer than this is not waited for. Bounds what is held back. */
export const sniffMaxBytes = 16 * 1024;

/**
 * Tells HTTP by the first bytes: an HTTP/2 preface, or a complete HTTP/1 request line. Anything
 * that stopped looking like one is TCP, and policy treats TCP as the stricter case.
 */
export function sniff(bytes: Buffer): Sniffed {
  const shared = Math.min(bytes.length, preface.length);
  if (shared > 0 && bytes.compare(preface, 0, shared, 0, shared) === 0) {
    if (shared === preface.length) return 'http2';
    // "P", "PR" may also begin a method; both need more bytes.
    return 'more';
  }
  const space = bytes.indexOf(0x20);
  const method = bytes.subarray(0, space < 0 ? bytes.length : space);
  if (method.length > methodMaxBytes || !method.every(isTokenByte)) return 'tcp';
  if (space < 0) return 'more';
  if (space === 0) return 'tcp';
  const end = bytes.indexOf(0x0a);
  if (end < 0) return bytes.length >= sniffMaxBytes ? 'tcp' : 'more';
  const line = bytes.toString('latin1', 0, end);
  return / HTTP\/1\.[01]\r?$/.test(line) ? 'http1' : 'tcp';
}

/** Whether a connection on a port declared as HTTP speaks HTTP/2; HTTP/1 parsing judges the rest. */
export function sniffHttpVersion(bytes: Buffer): 'http1' | 'http2' | 'more' {
  const shared = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, shared, 0, shared) !== 0) return 'http1';
  return shared === preface.length ? 'http2' : 'more';
}

function isTokenByte(byte: number): boolean {
  const isAlpha = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
  return isAlpha || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
}
