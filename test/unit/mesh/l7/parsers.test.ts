import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '#mesh/l7/message/header-list.js';
import { normalizeTarget } from '#mesh/l7/message/request-target.js';
import { guardRequest } from '#mesh/l7/layers/request-guard.js';
import { removeHopByHop } from '#mesh/l7/message/connection-options.js';
import { parseAddressPort } from '#mesh/l7/message/address.js';
import { sniff } from '#mesh/l7/codec/sniff.js';

describe('sniff', () => {
  it('decides about any bytes once there are enough of them, and never changes a decision', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
        const whole = Buffer.from(bytes);
        const results =
          bytes.length === 0 ? [] : Array.from(bytes, (_, i) => sniff(whole.subarray(0, i + 1)));
        const firstDecided = results.findIndex((result) => result !== 'more');
        if (firstDecided < 0) return;
        expect(new Set(results.slice(firstDecided)).size).toBe(1);
      }),
    );
  });
});

describe('normalizeTarget', () => {
  it.each([
    ['/', '/', ''],
    ['/a/b?x=/../y', '/a/b', '?x=/../y'],
    ['/a/./b/../c', '/a/c', ''],
    ['/../../etc', '/etc', ''],
    ['/a/..', '/', ''],
    ['/a/b/.', '/a/b/', ''],
    ['/%61dmin', '/admin', ''],
    ['/x/%2e%2E/admin', '/admin', ''],
    ['/a%2Fb', '/a%2Fb', ''],
    ['/a\\..\\b', '/b', ''],
    ['//a', '//a', ''],
    ['/\u00e9', '/%E9', ''],
  ])('%s is %s', (target, path, query) => {
    expect(normalizeTarget(target)).toEqual({ path, query });
  });

  it.each(['', 'a', '*', '/a#b', '/a b', '/a\tb', '/%00', '/%', '/%zz', '/\u007f'])(
    'refuses %j',
    (target) => {
      expect(normalizeTarget(target)).toBeUndefined();
    },
  );

  it('leaves nothing for a backend to resolve, and is stable', () => {
    const piece = fc.constantFrom('/', '.', '..', '%2e', '%2E', 'a', '\\', '%61', '%2f', '//');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = normalizeTarget(`/${pieces.join('')}`);
        if (once === undefined) return;
        expect(once.path).toMatch(/^\//);
        expect(once.path.split('/').some((s) => s === '.' || s === '..')).toBe(false);
        expect(once.path).not.toMatch(/\\|%2e/i);
        expect(normalizeTarget(once.path)?.path).toBe(once.path);
      }),
    );
  });
});

describe('guardRequest', () => {
  const check = (
    headers: [string, string][],
    version: '1.1' | '2' = '1.1',
    authority = 'a',
  ): number | undefined =>
    guardRequest({ version, method: 'GET', authority, headers: HeaderList.of(...headers) })?.status;

  it('passes an ordinary request', () => {
    expect(
      check(
        [
          ['host', 'a:80'],
          ['content-length', '3'],
        ],
        '1.1',
        'a:80',
      ),
    ).toBeUndefined();
  });

  it.each<[string, [string, string][], '1.1' | '2', string, number]>([
    ['chunks in HTTP/2', [['transfer-encoding', 'chunked']], '2', 'a', 400],
    ['another host than the authority', [['host', 'b']], '2', 'a', 400],
    ['user information', [], '1.1', 'user@a', 400],
    ['length as a list', [['content-length', '3, 3']], '1.1', 'a', 400],
    [
      'chunked twice',
      [
        ['transfer-encoding', 'chunked'],
        ['transfer-encoding', 'chunked'],
      ],
      '1.1',
      'a',
      501,
    ],
    ['line break in a value', [['x', 'a\nb']], '1.1', 'a', 400],
    ['host named hop-by-hop', [['connection', 'Host']], '1.1', 'a', 400],
  ])('refuses %s', (_what, headers, version, authority, status) => {
    expect(check(headers, version, authority)).toBe(status);
  });
});

describe('removeHopByHop', () => {
  it('removes what is of this hop and what Connection names, and keeps te: trailers', () => {
    const headers = HeaderList.of(
      ['connection', 'keep-alive, X-Hop'],
      ['x-hop', '1'],
      ['keep-alive', 'timeout=5'],
      ['te', 'gzip, trailers'],
      ['x-end', '2'],
    );
    removeHopByHop(headers);
    expect([...headers]).toEqual([
      ['x-end', '2'],
      ['te', 'trailers'],
    ]);
  });
});

describe('parseAddressPort', () => {
  it.each([
    ['10.0.0.1:80', { ip: '10.0.0.1', port: 80 }],
    ['[FD00:0::1]:8080', { ip: 'fd00::1', port: 8080 }],
  ])('%s', (text, expected) => {
    expect(parseAddressPort(text)).toEqual(expected);
  });

  it.each([
    '',
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.256:80',
    'name:80',
    '[10.0.0.1]:80',
    '::1:80',
    '[::1]',
  ])('refuses %j', (text) => {
    expect(parseAddressPort(text)).toBeUndefined();
  });
});
