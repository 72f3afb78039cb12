import { ipToBytes, unmapIp } from '#base/net/address.js';
import { isInCidr, parseCidr } from '#base/net/cidr.js';
import { isInRange } from '#base/net/ranges.js';
import type { ValueTest } from './string-pattern.js';

/**
 * Compiles an address or CIDR block to a test of addresses. IPv4 addresses written as
 * `::ffff:a.b.c.d` count as IPv4. Returns undefined for anything that is neither.
 */
export function compileIpBlock(text: string): ValueTest | undefined {
  const block = parseCidr(text);
  // A block of IPv4-mapped addresses would never meet the plain form used here.
  if (block === undefined || isInRange(block.address, 'mapped')) return undefined;
  return (value) => {
    const address = ipToBytes(unmapIp(value));
    return address !== undefined && isInCidr(block, address);
  };
}
