import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type ParserError, parserProblem } from '#mesh/l7/codec/http1-problem.js';

/** What Node's parser says about these bytes, read in one piece. */
function parserErrorOf(bytes: string): Promise<ParserError> {
  return new Promise((resolve) => {
    const server = createServer({ maxHeaderSize: 1_024 });
    server.on('request', (request) => request.on('error', () => undefined));
    server.on('clientError', (error) => resolve(error as Error & ParserError));
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    server.emit('connection', stream);
    stream.push(Buffer.from(bytes, 'latin1'));
  });
}

const post = 'POST / HTTP/1.1\r\nhost: a\r\n';
const chunked = `${post}transfer-encoding: chunked\r\n\r\n`;

describe('parserProblem', () => {
  it.each([
    [`${post}transfer-encoding: xchunked\r\n\r\n`, 501, 'http1.invalid_transfer_encoding'],
    [`${post}transfer-encoding: identity\r\n\r\n`, 501, 'http1.invalid_transfer_encoding'],
    [`${post}transfer-encoding: chunked, gzip\r\n\r\n`, 501, 'http1.invalid_transfer_encoding'],
    [
      `${post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n`,
      400,
      'http1.content_length_and_chunked_not_allowed',
    ],
    [
      `${post}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n`,
      400,
      'http1.content_length_and_chunked_not_allowed',
    ],
    [`${post}content-length: 3\r\ncontent-length: 4\r\n\r\n`, 400, 'http1.content_length'],
    [`${post}content-length: ${'9'.repeat(40)}\r\n\r\n`, 400, 'http1.content_length'],
    ['FOO / HTTP/1.1\r\nhost: a\r\n\r\n', 501, 'http1.unknown_method'],
    ['get / HTTP/1.1\r\nhost: a\r\n\r\n', 501, 'http1.unknown_method'],
    ['hello world\r\n', 400, 'http1.codec_error'],
    ['\x16\x03\x01\x00', 400, 'http1.codec_error'],
    ['GET / HTTP/3.0\r\nhost: a\r\n\r\n', 505, 'http1.unsupported_version'],
    ['GET / HTTP/1.2\r\nhost: a\r\n\r\n', 505, 'http1.unsupported_version'],
    ['GET / HTTP/1.1\nhost: a\n\n', 400, 'http1.codec_error'],
    ['GET / HTTX/1.1\r\n\r\n', 400, 'http1.codec_error'],
    ['GET / HTTP/1.1\r\nho st: a\r\n\r\n', 400, 'http1.codec_error'],
    ['GET / HTTP/1.1\r\nhost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'http1.http2_preface'],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(2_000)}\r\n\r\n`, 431, 'request_headers_too_large'],
    [`${chunked}zz\r\n`, 400, 'http1.codec_error'],
    [`${chunked}3;${'e'.repeat(20_000)}\r\nabc\r\n`, 413, 'http1.chunk_extensions_too_large'],
    [`${chunked}0\r\nx: ${'y'.repeat(2_000)}\r\n\r\n`, 431, 'request_headers_too_large'],
  ])('%j is answered %i', async (bytes, status, details) => {
    expect(parserProblem(await parserErrorOf(bytes), false)).toEqual({ status, details });
  });

  it('tells a target that is too long from a header', async () => {
    const error = await parserErrorOf(`GET /${'x'.repeat(2_000)} HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(parserProblem(error, true)).toEqual({ status: 414, details: 'http1.request_target_too_long' });
  });

  it('has no answer to what follows the last request of a connection', async () => {
    const last = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
    expect(parserProblem(await parserErrorOf(`${last}GET / HTTP/1.1\r\n`), false)).toBeUndefined();
  });

  it('takes a stream that ended in the middle for a broken request', () => {
    const error = { code: 'HPE_INVALID_EOF_STATE', reason: 'Invalid EOF state' };
    expect(parserProblem(error, true)).toEqual({ status: 400, details: 'http1.codec_error' });
  });
});
