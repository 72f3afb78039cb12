import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesToIp, ipToBytes } from '#base/net/address.js';
import { formatCidr, isCidrInCidr, isInCidr, maskCidr, parseCidr, parseNetwork } from '#base/net/cidr.js';
import { isInRange } from '#base/net/ranges.js';

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);
const block = address.chain((bytes) =>
  fc.record({ address: fc.constant(bytes), length: fc.nat({ max: bytes.length * 8 }) }),
);

test.each([
  ['10.0.0.0/8', 8],
  ['10.0.0.1', 32],
  ['fd00::/8', 8],
  ['::1', 128],
  ['0.0.0.0/0', 0],
])('block %s has %d bits', (text, length) => {
  expect(parseCidr(text)?.length).toBe(length);
  expect(parseNetwork(text)?.length).toBe(text.includes('/') ? length : undefined);
});

const none = ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0.0/x', 'x/8', '::/129'];
test.each([...none, '10.0.0.0/8/8', '10.0.0.0/255.0.0.0', ''])('%j is no block', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

describe('containing', () => {
  test('is what BlockList says', () => {
    fc.assert(
      fc.property(block, address, (outer, ip) => {
        const type = outer.address.length === 4 ? 'ipv4' : 'ipv6';
        const list = new BlockList();
        list.addSubnet(bytesToIp(maskCidr(outer).address) ?? '', outer.length, type);
        const isThere = ip.length === outer.address.length && list.check(bytesToIp(ip) ?? '', type);
        expect(isInCidr(outer, ip)).toBe(isThere);
      }),
    );
  });

  test('a block holds its own addresses and smaller blocks only', () => {
    fc.assert(
      fc.property(block, fc.nat({ max: 128 }), (outer, length) => {
        expect(isInCidr(outer, outer.address)).toBe(true);
        const inner = { address: outer.address, length: Math.min(length, outer.address.length * 8) };
        expect(isCidrInCidr(outer, inner)).toBe(inner.length >= outer.length);
        expect(parseCidr(formatCidr(outer))).toEqual(outer);
      }),
    );
  });

  test('no address is in a block of the other family', () => {
    const all = parseCidr('::/0');
    const mapped = ipToBytes('::ffff:10.0.0.1');
    const v4 = parseCidr('0.0.0.0/0');
    if (all === undefined || mapped === undefined || v4 === undefined) throw new Error('not parsed');
    expect(isInCidr(all, Uint8Array.of(10, 0, 0, 1))).toBe(false);
    expect(isInCidr(v4, mapped)).toBe(false);
  });
});

test.each([
  ['127.8.0.1', 'loopback'],
  ['::1', 'loopback'],
  ['169.254.1.1', 'linkLocal'],
  ['febf::1', 'linkLocal'],
  ['224.0.0.251', 'linkLocalMulticast'],
  ['ff02::1', 'multicast'],
  ['0:0::0', 'unspecified'],
  ['::ffff:10.0.0.1', 'mapped'],
] as const)('%s is %s', (ip, range) => {
  expect(isInRange(ip, range)).toBe(true);
});

test.each(['128.0.0.1', '::2', 'fec0::1', 'x', '127.0.0.1/8'])(
  '%s is neither loopback nor link-local',
  (ip) => {
    expect(isInRange(ip, 'loopback', 'linkLocal')).toBe(false);
  },
);
