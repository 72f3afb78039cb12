import { METHODS } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { peekFirst } from '#mesh/l7/codec/first-bytes.js';
import { sniff, sniffHttpVersion, sniffMaxBytes } from '#mesh/l7/codec/sniff.js';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('sniff', () => {
  it.each([
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['GET /x HTTP/1.0\n', 'http1'],
    ['M-SEARCH * HTTP/1.0\n', 'http1'],
    ['OPTIONS * HTTP/1.1\r\n', 'http1'],
    ['GET http://a/b HTTP/1.1\r\n', 'http1'],
    ['CONNECT a:443 HTTP/1.1\r\n', 'http1'],
    // Wrong, and for the parser to answer.
    ['GET /a b HTTP/1.1\r\n', 'http1'],
    ['GET  / HTTP/1.1\r\n', 'http1'],
    ['GET \\a HTTP/1.1\r\n', 'http1'],
    [preface, 'http2'],
    [`${preface}more`, 'http2'],
    ['', 'more'],
    ['P', 'more'],
    ['PRI * HTTP', 'more'],
    ['POST /a', 'more'],
    ['PATCH', 'more'],
    ['GET key', 'more'],
    ['GET / HTTP/1.1 \r\n', 'tcp'],
    ['GET / HTTP/2.0\r\n', 'tcp'],
    ['GET /\r\n', 'tcp'],
    ['PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'tcp'],
    [`GET /${'a'.repeat(sniffMaxBytes)}`, 'tcp'],
  ])('%j is %s', (text, expected) => {
    expect(sniff(Buffer.from(text, 'latin1'))).toBe(expected);
  });

  // What is said, and with which of its bytes it is known not to be HTTP.
  it.each([
    ['ping', 1],
    ['ruok', 1],
    ['17', 1],
    ['get key\r\n', 1],
    ['*1\r\n$4\r\nPING\r\n', 1],
    ['\u0016\u0003\u0001', 1],
    ['\u0000\u0000\u0000\u0008', 1],
    ['\r\nGET / HTTP/1.1\r\n', 1],
    [' GET / HTTP/1.1\r\n', 1],
    ['EHLO mail.example\r\n', 1],
    ['PING\r\n', 2],
    ['SSH-2.0-x\r\n', 2],
    ['USER anonymous\r\n', 2],
    ['LIST\r\n', 3],
    ['GET\r\n', 4],
    ['GET key\r\n', 9],
    ['OPTIONS rtsp://a/b RTSP/1.0\r\n', 29],
  ])('%j is TCP by byte %i', (text, decidedAt) => {
    const decisions = Array.from({ length: decidedAt }, (_, i) =>
      sniff(Buffer.from(text.slice(0, i + 1), 'latin1')),
    );
    expect(decisions).toEqual([...Array.from({ length: decidedAt - 1 }, () => 'more'), 'tcp']);
  });

  it('knows every method the parser knows', () => {
    for (const method of METHODS) {
      const target = method === 'CONNECT' ? 'a:1' : '/';
      expect(sniff(Buffer.from(`${method} ${target} HTTP/1.1\r\n`))).toBe('http1');
    }
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
    expect(await peeked).toEqual({ kind: 'found', found: 'http1' });
    expect(String(stream.read())).toBe('GET / HTTP/1.1\r\nhost: a\r\n');
  });

  it('hands over what a stream said before it ended undecided', async () => {
    const stream = streamOf();
    stream.push('HELLO'.slice(0, 2));
    stream.push(null);
    expect(await peekFirst(stream, sniff)).toEqual({ kind: 'ended', rest: Buffer.from('HE') });
  });

  it('gives up on a stream that broke, before or meanwhile', async () => {
    const stream = streamOf();
    const peeked = peekFirst(stream, sniff);
    stream.destroy();
    expect((await peeked).kind).toBe('ended');
    expect((await peekFirst(stream, sniff)).kind).toBe('ended');
  });

  it('stops waiting for a silent stream, which can be looked at again', async () => {
    const stream = streamOf();
    expect(await peekFirst(stream, sniff, { silentMs: 1, stalledMs: 60_000 })).toEqual({ kind: 'silent' });
    const again = peekFirst(stream, sniff);
    stream.push('ping');
    expect(await again).toEqual({ kind: 'found', found: 'tcp' });
    expect(String(stream.read())).toBe('ping');
  });

  it('stops waiting for the rest of a line, and puts back what there is', async () => {
    const stream = streamOf();
    stream.push('GET /');
    expect(await peekFirst(stream, sniff, { silentMs: 60_000, stalledMs: 1 })).toEqual({ kind: 'stalled' });
    expect(String(stream.read())).toBe('GET /');
    const over = new AbortController();
    const peeked = peekFirst(stream, sniff, { signal: over.signal });
    over.abort();
    expect(await peeked).toEqual({ kind: 'silent' });
  });
});
