import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bytesToIp,
  bytesToNumber,
  canonicalIp,
  ipFamilyOf,
  ipToBytes,
  numberToBytes,
  unmapIp,
} from '#base/net/address.js';

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);

describe('text and bytes', () => {
  test.each([
    ['10.1.2.3', [10, 1, 2, 3]],
    ['::', Array.from({ length: 16 }, () => 0)],
    ['::1', [...Array.from({ length: 15 }, () => 0), 1]],
    ['::ffff:10.0.0.1', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]],
    ['2001:db8::5:0:0:1', [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 1]],
  ])('%s', (text, bytes) => {
    expect([...(ipToBytes(text) ?? [])]).toEqual(bytes);
    expect(canonicalIp(text)).toBe(text);
  });

  const none = ['', 'x', '10.0.0', '10.0.0.256', '010.0.0.1', '0x7f.1', '1', ':::', '1:2', 'fe80::1%eth0'];
  test.each([...none, '[::1]', '10.0.0.1/8', ' 10.0.0.1'])('%j is no address', (text) => {
    expect(ipToBytes(text)).toBeUndefined();
    expect(ipFamilyOf(text)).toBeUndefined();
    expect(canonicalIp(text)).toBeUndefined();
  });

  test('bytes survive the way through text and number', () => {
    fc.assert(
      fc.property(address, (bytes) => {
        const text = bytesToIp(bytes) ?? '';
        expect(ipToBytes(text)).toEqual(bytes);
        expect(ipFamilyOf(text)).toBe(bytes.length === 4 ? 'IPv4' : 'IPv6');
        expect(numberToBytes(bytesToNumber(bytes), bytes.length === 4 ? 'IPv4' : 'IPv6')).toEqual(bytes);
      }),
    );
  });

  test('the canonical form is the one that URLs have', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const canonical = canonicalIp(text) ?? '';
        const inUrl = (ip: string): string => new URL(`http://[${ip}]`).hostname;
        expect(inUrl(canonical)).toBe(inUrl(text));
        // URLs write the tail of mapped addresses in hexadecimal; RFC 5952, section 5, recommends dots.
        if (!canonical.includes('.')) expect(`[${canonical}]`).toBe(inUrl(text));
        expect(canonicalIp(canonical)).toBe(canonical);
      }),
    );
  });
});

test.each([
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:a00:1', '10.0.0.1'],
  ['0:0:0:0:0:ffff:10.0.0.1', '10.0.0.1'],
  ['::ffff:0:10.0.0.1', '::ffff:0:10.0.0.1'],
  ['::1', '::1'],
  ['10.0.0.1', '10.0.0.1'],
  ['a name', 'a name'],
])('%s without mapping is %s', (text, plain) => {
  expect(unmapIp(text)).toBe(plain);
});
