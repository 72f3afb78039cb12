import { isIP } from 'node:net';

/** A family of addresses, spelled as in the Kubernetes API. */
export type IpFamily = 'IPv4' | 'IPv6';

/** The family of an address; undefined for any other text, one with a zone too. */
export function ipFamilyOf(text: string): IpFamily | undefined {
  const version = isIP(text);
  if (version === 4) return 'IPv4';
  return version === 6 && !text.includes('%') ? 'IPv6' : undefined;
}

/** The family of a text that is known to be an address or a block of addresses. */
export function familyOf(text: string): IpFamily {
  return text.includes(':') ? 'IPv6' : 'IPv4';
}

/** Whether a text is an IPv4 or IPv6 address, without brackets, zone or port. */
export function isIp(text: string): boolean {
  return ipFamilyOf(text) !== undefined;
}

/** The 4 or 16 bytes of an address in network order; undefined when the text is not an address. */
export function ipToBytes(text: string): Uint8Array | undefined {
  const family = ipFamilyOf(text);
  if (family === undefined) return undefined;
  return family === 'IPv4' ? Uint8Array.from(text.split('.').map(Number)) : ipv6ToBytes(text);
}

/** Text of a 4 or 16 byte address, IPv6 as in RFC 5952; undefined for any other length. */
export function bytesToIp(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`;
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const [start, length] = longestZeroRun(groups);
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** The one text of an address, so that two of them compare equal when they mean the same; undefined for no address. */
export function canonicalIp(text: string): string | undefined {
  const family = ipFamilyOf(text);
  if (family === 'IPv4') return text;
  return family === undefined ? undefined : bytesToIp(ipv6ToBytes(text));
}

/** `::ffff:1.2.3.4`, as sockets of both families write IPv4 peers, as `1.2.3.4`; anything else unchanged. */
export function unmapIp(text: string): string {
  if (!/^[0:]*:ffff:/i.test(text)) return text;
  const bytes = ipToBytes(text);
  return bytes?.length === 16 && isMapped(bytes) ? bytes.subarray(12).join('.') : text;
}

/** The bytes of an address as one number. */
export function bytesToNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The bytes of an address from its number, which must fit. */
export function numberToBytes(value: bigint, family: IpFamily): Uint8Array {
  const digits = family === 'IPv4' ? 8 : 32;
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(digits, '0'), 'hex'));
}

/** The IPv4 address within an IPv4-mapped one (RFC 4291, 2.5.5.2). */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Of a text that is known to be an IPv6 address. */
function ipv6ToBytes(text: string): Uint8Array {
  let source = text;
  const [, prefix, dotted] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [];
  if (prefix !== undefined && dotted !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number);
    source = `${prefix}${hex([(a << 8) | b, (c << 8) | d])}`;
  }
  const [head = '', tail = ''] = source.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  const bytes = new Uint8Array(16);
  const put = (group: string, index: number): void => {
    const value = Number.parseInt(group, 16);
    bytes[index * 2] = value >> 8;
    bytes[index * 2 + 1] = value & 0xff;
  };
  first.forEach(put);
  last.forEach((group, i) => {
    put(group, 8 - last.length + i);
  });
  return bytes;
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
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
