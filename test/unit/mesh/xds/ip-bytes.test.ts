import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesToIp, ipToBytes, parseCidr } from '#mesh/xds/ip-bytes.js';

test.each([
  ['10.1.2.3', [10, 1, 2, 3]],
  ['::', Array.from({ length: 16 }, () => 0)],
  ['::1', [...Array.from({ length: 15 }, () => 0), 1]],
  ['::ffff:10.0.0.1', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]],
  ['2001:db8::5:0:0:1', [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 1]],
])('%s', (text, bytes) => {
  expect([...(ipToBytes(text) ?? [])]).toEqual(bytes);
});

test.each(['', 'x', '10.0.0', '10.0.0.256', ':::', '1:2', 'fe80::1%eth0'])('%s is no address', (text) => {
  expect(ipToBytes(text)).toBeUndefined();
});

test('bytes survive the way through text', () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(address, (bytes) => {
      expect(ipToBytes(bytesToIp(bytes) ?? '')).toEqual(bytes);
    }),
  );
});

test.each([
  ['10.0.0.0/8', 8],
  ['10.0.0.1', 32],
  ['fd00::/8', 8],
  ['::1', 128],
])('block %s has %d bits', (text, length) => {
  expect(parseCidr(text)?.length).toBe(length);
});

test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/x', 'x/8', '::/129'])(
  '%s is no block',
  (text) => {
    expect(parseCidr(text)).toBeUndefined();
  },
);
