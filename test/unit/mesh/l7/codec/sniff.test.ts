import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { peekFirst } from '#mesh/l7/codec/first-bytes.js';
import { sniff, sniffHttpVersion, sniffMaxBytes } from '#mesh/l7/codec/sniff.js';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('sniff', () => {
  it.each([
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['M-SEARCH * HTTP/1.0\n', 'http1'],
    [preface, 'http2'],
    [`${preface}more`, 'http2'],
    ['', 'more'],
    ['P', 'more'],
    ['PRI * HTTP', 'more'],
    ['POST /a', 'more'],
    ['PATCH', 'more'],
    ['get key\r\n', 'tcp'],
    ['PING\r\n', 'tcp'],
    ['SSH-2.0-x\r\n', 'tcp'],
    ['\u0016\u0003\u0001', 'tcp'],
    [' GET / HTTP/1.1\r\n', 'tcp'],
    ['GET / HTTP/1.1 \r\n', 'tcp'],
    ['GET / HTTP/2.0\r\n', 'tcp'],
    ['GET /\r\n', 'tcp'],
    ['a'.repeat(33), 'tcp'],
    [`GET /${'a'.repeat(sniffMaxBytes)}`, 'tcp'],
  ])('%j is %s', (text, expected) => {
    expect(sniff(Buffer.from(text, 'latin1'))).toBe(expected);
  });

  it('never goes back on a decision when more comes', () => {
    for (const text of ['GET / HTTP/1.1\r\nhost: a\r\n\r\n', `${preface}xx`, 'hello world\r\n']) {
      const seen = Array.from({ length: text.length }, (_, i) =>
        sniff(Buffer.from(text.slice(0, i + 1), 'latin1')),
      );
      const first = seen.findIndex((decision) => decision !== 'more');
      expect(new Set(seen.slice(first)).size).toBe(1);
    }
  });

  it('tells the version on a port declared as HTTP', () => {
    expect(sniffHttpVersion(Buffer.from('PRI *'))).toBe('more');
    expect(sniffHttpVersion(Buffer.from('PRX'))).toBe('http1');
    expect(sniffHttpVersion(Buffer.from(preface))).toBe('http2');
  });
});

function streamOf(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
}

describe('peekFirst', () => {
  it('puts back what it read, however it came in pieces', async () => {
    const stream = streamOf();
    const peeked = peekFirst(stream, sniff);
    stream.push('GET / HT');
    setImmediate(() => stream.push('TP/1.1\r\nhost: a\r\n'));
    expect((await peeked).found).toBe('http1');
    expect(String(stream.read())).toBe('GET / HTTP/1.1\r\nhost: a\r\n');
  });

  it('hands over what a stream said before it ended undecided', async () => {
    const stream = streamOf();
    stream.push('hello');
    stream.push(null);
    const { found, rest } = await peekFirst(stream, sniff);
    expect([found, String(rest)]).toEqual([undefined, 'hello']);
  });

  it('gives up on a stream that broke', async () => {
    const stream = streamOf();
    const peeked = peekFirst(stream, sniff);
    stream.destroy();
    expect((await peeked).found).toBeUndefined();
  });
});
