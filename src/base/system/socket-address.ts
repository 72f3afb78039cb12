import { isIPv4, isIPv6 } from 'node:net';

export const afInet = 2;
export const afInet6 = 10;

/** Encodes an IP address and port as `sockaddr_in` or `sockaddr_in6`. */
export function encodeSocketAddress(host: string, port: number): Buffer {
  if (isIPv4(host)) {
    const out = Buffer.alloc(16);
    out.writeUInt16LE(afInet, 0);
    out.writeUInt16BE(port, 2);
    host.split('.').forEach((part, i) => out.writeUInt8(Number(part), 4 + i));
    return out;
  }
  if (!isIPv6(host)) throw new TypeError(`not an IP address: ${host}`);
  const out = Buffer.alloc(28);
  out.writeUInt16LE(afInet6, 0);
  out.writeUInt16BE(port, 2);
  encodeIpv6(host).copy(out, 8);
  return out;
}

/** Decodes `sockaddr_in`/`sockaddr_in6`; v4-mapped v6 becomes v4. Undefined for other families. */
export function decodeSocketAddress(raw: Uint8Array): { host: string; port: number } | undefined {
  const b = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const family = b.readUInt16LE(0);
  const port = b.readUInt16BE(2);
  if (family === afInet) return { host: b.subarray(4, 8).join('.'), port };
  if (family !== afInet6) return undefined;
  return { host: decodeIpv6(b.subarray(8, 24)), port };
}

/** Sixteen address bytes of an IPv6 literal (with `::` and an embedded IPv4 tail). */
export function encodeIpv6(host: string): Buffer {
  let text = host.replace(/%.*$/, '');
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = (tail[2] ?? '').split('.').map(Number);
    text = `${tail[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', rest] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const groups =
    rest === undefined
      ? left
      : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const out = Buffer.alloc(16);
  groups.forEach((g, i) => out.writeUInt16BE(Number.parseInt(g, 16), i * 2));
  return out;
}

/** Text form of sixteen (or four) address bytes; v4-mapped v6 becomes v4, zeros are compressed. */
export function decodeIpv6(bytes: Uint8Array): string {
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (b.length === 4) return b.join('.');
  const isMapped = b.subarray(0, 10).every((x) => x === 0) && b.readUInt16BE(10) === 0xffff;
  if (isMapped) return b.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => b.readUInt16BE(i * 2).toString(16));
  // URL parsing yields the canonical compressed form (RFC 5952).
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
