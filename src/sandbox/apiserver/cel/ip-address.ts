import { isIP, SocketAddress } from 'node:net';

/** An IP address as a number. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
  /** The canonical text (RFC 5952 for IPv6). */
  readonly text: string;
}

function parts(text: string): readonly number[] {
  const [head = '', tail] = text.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  return [...first, ...Array.from({ length: zeros }, () => '0'), ...last].map((g) => Number.parseInt(g, 16));
}

/** Parses an address; undefined for anything else, for zones, and for IPv4 written as IPv6. */
export function parseIp(text: string): IpAddress | undefined {
  const family = text.includes('%') ? 0 : isIP(text);
  if (family === 4) {
    const bits = text.split('.').reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
    return { family: 4, bits, text };
  }
  if (family !== 6) return undefined;
  const canonical = new SocketAddress({ address: text, family: 'ipv6' }).address;
  // inet_ntop writes some addresses with a dotted tail; the groups are read from the hexadecimal form.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(canonical);
  if (dotted !== null && /^::ffff:/i.test(canonical)) return undefined;
  const plain =
    dotted === null
      ? canonical
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const bits = parts(plain).reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  return { family: 6, bits, text: plain };
}

/** The address of a number. */
export function ipOf(family: 4 | 6, bits: bigint): IpAddress {
  if (family === 4) {
    const text = [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 255n).join('.');
    return { family, bits, text };
  }
  const groups = Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(112 - i * 16)) & 0xffffn).toString(16));
  return parseIp(groups.join(':')) ?? { family, bits, text: groups.join(':') };
}
