import { ipToBytes } from './address.js';
import { type Cidr, isInCidr, parseNetwork } from './cidr.js';

const hexDigits = Array.from({ length: 16 }, (_, digit) => digit.toString(16));

/** Ranges with a meaning of their own (RFC 6890, RFC 4291). */
const ranges = {
  unspecified: blocks('0.0.0.0/32', '::/128'),
  loopback: blocks('127.0.0.0/8', '::1/128'),
  linkLocal: blocks('169.254.0.0/16', 'fe80::/10'),
  // The second digit of the IPv6 ones holds flags, the third the scope.
  linkLocalMulticast: blocks('224.0.0.0/24', ...hexDigits.map((flags) => `ff${flags}2::/16`)),
  multicast: blocks('224.0.0.0/4', 'ff00::/8'),
  broadcast: blocks('255.255.255.255/32'),
  reserved: blocks('240.0.0.0/4'),
  ownNetwork: blocks('0.0.0.0/8'),
  mapped: blocks('::ffff:0:0/96'),
} as const;

export type IpRange = keyof typeof ranges;

/** Whether an address, as text or bytes, is in one of some ranges; what is no address is in none. */
export function isInRange(ip: string | Uint8Array, ...of: readonly IpRange[]): boolean {
  const bytes = typeof ip === 'string' ? ipToBytes(ip) : ip;
  return bytes !== undefined && of.some((range) => ranges[range].some((block) => isInCidr(block, bytes)));
}

function blocks(...texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => parseNetwork(text) ?? []);
}
