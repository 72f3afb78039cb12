import { bytesToIp, ipToBytes, unmapIp } from '../net/address.js';

export const afInet = 2;
export const afInet6 = 10;

/** Encodes an IP address and port as `sockaddr_in` or `sockaddr_in6`. */
export function encodeSocketAddress(host: string, port: number): Buffer {
  const address = ipToBytes(host);
  if (address === undefined) throw new TypeError(`not an IP address: ${host}`);
  const isV4 = address.length === 4;
  const out = Buffer.alloc(isV4 ? 16 : 28);
  out.writeUInt16LE(isV4 ? afInet : afInet6, 0);
  out.writeUInt16BE(port, 2);
  out.set(address, isV4 ? 4 : 8);
  return out;
}

/** Decodes `sockaddr_in`/`sockaddr_in6`; v4-mapped v6 becomes v4. Undefined for other families. */
export function decodeSocketAddress(raw: Uint8Array): { host: string; port: number } | undefined {
  const b = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const family = b.readUInt16LE(0);
  if (family !== afInet && family !== afInet6) return undefined;
  const address = family === afInet ? b.subarray(4, 8) : b.subarray(8, 24);
  return { host: unmapIp(bytesToIp(address) ?? ''), port: b.readUInt16BE(2) };
}
