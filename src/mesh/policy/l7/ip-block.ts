import { BlockList, isIP } from 'node:net';
import type { ValueTest } from './string-pattern.js';

/**
 * Compiles an address or CIDR block to a test of addresses. IPv4 addresses written as
 * `::ffff:a.b.c.d` count as IPv4. Returns undefined for anything that is neither.
 */
export function compileIpBlock(block: string): ValueTest | undefined {
  const slash = block.indexOf('/');
  const address = slash < 0 ? block : block.slice(0, slash);
  const version = isIP(address);
  // A block of IPv4-mapped addresses would never meet the plain form used here.
  if (version === 0 || address.includes('%') || /^::ffff:/i.test(address)) return undefined;
  const bits = version === 4 ? 32 : 128;
  const lengthText = slash < 0 ? String(bits) : block.slice(slash + 1);
  if (!/^\d{1,3}$/.test(lengthText) || Number(lengthText) > bits) return undefined;
  const list = new BlockList();
  list.addSubnet(address, Number(lengthText), version === 4 ? 'ipv4' : 'ipv6');
  return (value) => {
    const plain = unmapAddress(value);
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** `::ffff:1.2.3.4` as `1.2.3.4`; anything else unchanged. */
export function unmapAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}
