import { isIPv4, isIPv6 } from 'node:net';

/** The 4 or 16 bytes of an IP address in network order; undefined when the text is not an address. */
export function ipToBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return ipv6ToBytes(text);
}

/** Text of a 4 or 16 byte address; undefined for any other length. IPv6 is written as RFC 5952 asks. */
export function bytesToIp(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const [start, length] = longestZeroRun(groups);
  if (length < 2) return groups.map((g) => g.toString(16)).join(':');
  const head = groups.slice(0, start).map((g) => g.toString(16));
  const tail = groups.slice(start + length).map((g) => g.toString(16));
  return `${head.join(':')}::${tail.join(':')}`;
}

/** An address with its prefix length. */
export interface Cidr {
  readonly address: Uint8Array;
  /** Prefix length in bits. */
  readonly length: number;
}

/** Parses `address` (full length) or `address/length`; undefined when malformed. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = ipToBytes(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = address.length * 8;
  if (slash < 0) return { address, length: bits };
  const lengthText = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(lengthText) || Number(lengthText) > bits) return undefined;
  return { address, length: Number(lengthText) };
}

function ipv6ToBytes(text: string): Uint8Array | undefined {
  let source = text;
  const v4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const [, prefix, dotted] = v4 ?? [];
  if (prefix !== undefined && dotted !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number);
    source = `${prefix}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = source.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array.from({ length: 8 - first.length - last.length }, () => '0');
  const groups = [...first, ...middle, ...last].map((g) => Number.parseInt(g, 16));
  if (groups.length !== 8) return undefined;
  return Uint8Array.from(groups.flatMap((g) => [g >> 8, g & 0xff]));
}

function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  let start = -1;
  for (let i = 0; i <= groups.length; i++) {
    if (i < groups.length && groups[i] === 0) {
      if (start < 0) start = i;
    } else if (start >= 0) {
      if (i - start > best[1]) best = [start, i - start];
      start = -1;
    }
  }
  return best;
}
