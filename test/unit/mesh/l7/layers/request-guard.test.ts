import { describe, expect, it } from 'vitest';
import { HeaderList } from '#mesh/l7/message/header-list.js';
import { guardRequest, type GuardedRequest } from '#mesh/l7/layers/request-guard.js';
import { headerBytesMax } from '#mesh/l7/message/header-limits.js';
import { removeHopByHop } from '#mesh/l7/message/connection-options.js';

type Pairs = readonly (readonly [string, string])[];

function guard(headers: Pairs, change: Partial<GuardedRequest> = {}) {
  return guardRequest({
    version: '1.1',
    method: 'POST',
    authority: 'web',
    headers: HeaderList.of(...headers),
    ...change,
  });
}

describe('guardRequest', () => {
  it.each<[string, Pairs]>([
    ['nothing special', [['host', 'web']]],
    ['a length', [['content-length', '12']]],
    ['chunks', [['transfer-encoding', 'chunked']]],
    ['a header with an underscore', [['x_y', '1']]],
    ['bytes above ASCII in a value', [['x', '\u00e9']]],
  ])('passes %s', (_name, headers) => {
    expect(guard(headers)).toBeUndefined();
  });

  it.each<[string, Pairs, number, string]>([
    [
      'length and chunks',
      [
        ['content-length', '3'],
        ['transfer-encoding', 'chunked'],
      ],
      400,
      'http1.content_length_and_chunked_not_allowed',
    ],
    [
      'two equal lengths',
      [
        ['content-length', '3'],
        ['content-length', '3'],
      ],
      400,
      'content_length',
    ],
    ['a list of lengths', [['content-length', '3, 3']], 400, 'content_length'],
    ['a signed length', [['content-length', '+3']], 400, 'content_length'],
    ['a hexadecimal length', [['content-length', '0x3']], 400, 'content_length'],
    ['an empty length', [['content-length', '']], 400, 'content_length'],
    [
      'two codings',
      [
        ['transfer-encoding', 'gzip'],
        ['transfer-encoding', 'chunked'],
      ],
      501,
      'http1.invalid_transfer_encoding',
    ],
    ['a list of codings', [['transfer-encoding', 'gzip, chunked']], 501, 'http1.invalid_transfer_encoding'],
    ['a coding like chunked', [['transfer-encoding', 'xchunked']], 501, 'http1.invalid_transfer_encoding'],
    [
      'two hosts',
      [
        ['host', 'a'],
        ['host', 'a'],
      ],
      400,
      'duplicate_host',
    ],
    [
      'a protected header in Connection',
      [['connection', 'close, Authorization']],
      400,
      'connection_header_names_protected_header',
    ],
    ['a line feed in a value', [['x', 'a\nb']], 400, 'invalid_header_value'],
    ['a NUL in a value', [['x', 'a\u0000']], 400, 'invalid_header_value'],
    ['a blank in a name', [['content-length ', '3']], 400, 'invalid_header_name'],
    ['an empty name', [['', '3']], 400, 'invalid_header_name'],
    ['too many bytes', [['x', 'a'.repeat(headerBytesMax)]], 431, 'request_headers_too_large'],
  ])('refuses %s', (_name, headers, status, details) => {
    expect(guard(headers)).toEqual({ status, details });
  });

  it('refuses more lines than a backend may count', () => {
    const lines = Array.from({ length: 101 }, (_, i) => [`x-${i}`, '1'] as const);
    expect(guard(lines)?.status).toBe(431);
    expect(guard(lines.slice(1))).toBeUndefined();
  });

  it.each<[Partial<GuardedRequest>, number]>([
    [{ version: '1.0' }, 426],
    [{ authority: undefined }, 400],
    [{ authority: '' }, 400],
    [{ authority: 'user@web' }, 400],
    [{ authority: 'web/x' }, 400],
    [{ authority: 'a b' }, 400],
    [{ method: 'CONNECT' }, 404],
  ])('refuses %o', (change, status) => {
    expect(guard([], change)?.status).toBe(status);
  });

  it('refuses over HTTP/2 what only HTTP/1 has, and a Host that contradicts', () => {
    expect(guard([['transfer-encoding', 'chunked']], { version: '2' })?.status).toBe(400);
    expect(guard([['host', 'other']], { version: '2' })?.details).toBe('host_differs_from_authority');
    expect(guard([['host', 'web']], { version: '2' })).toBeUndefined();
  });
});

describe('removeHopByHop', () => {
  it('removes what belongs to this hop, what Connection names, and nothing else', () => {
    const headers = HeaderList.of(
      ['connection', 'close, X-Private'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'keep-alive'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'],
      ['x-private', '1'],
      ['trailer', 'x'],
      ['te', 'gzip'],
      ['accept', '*/*'],
    );
    removeHopByHop(headers);
    expect(headers.toRaw()).toEqual(['accept', '*/*']);
  });

  it('keeps that the client takes trailers, and only that', () => {
    const headers = HeaderList.of(['te', 'gzip;q=1, Trailers']);
    removeHopByHop(headers);
    expect(headers.toRaw()).toEqual(['te', 'trailers']);
  });
});
