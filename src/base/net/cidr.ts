import { bytesToIp, ipToBytes } from './address.js';

/** An address with its prefix length; bits behind the prefix may be set. */
export interface Cidr {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Prefix length in bits. */
  readonly length: number;
}

/** Parses `address` (of full length) or `address/length`; undefined when malformed. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = ipToBytes(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = address.length * 8;
  if (slash < 0) return { address, length: bits };
  const lengthText = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(lengthText) || Number(lengthText) > bits) return undefined;
  return { address, length: Number(lengthText) };
}

/** Parses `address/length`; undefined also for an address alone. */
export function parseNetwork(text: string): Cidr | undefined {
  return text.includes('/') ? parseCidr(text) : undefined;
}

/** `address/length`. */
export function formatCidr({ address, length }: Cidr): string {
  return `${bytesToIp(address) ?? ''}/${length}`;
}

/** The block with all bits behind its prefix cleared. */
export function maskCidr({ address, length }: Cidr): Cidr {
  const masked = address.map((byte, i) => byte & maskOfByte(length, i));
  return { address: masked, length };
}

/** Whether an address is in a block; one of the other family never is, IPv4-mapped ones included. */
export function isInCidr({ address, length }: Cidr, ip: Uint8Array): boolean {
  if (ip.length !== address.length) return false;
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (ip[i] !== address[i]) return false;
  if ((length & 7) === 0) return true;
  return (((ip[whole] ?? 0) ^ (address[whole] ?? 0)) & maskOfByte(length, whole)) === 0;
}

/** Whether all of a block is in another; a block is in itself. */
export function isCidrInCidr(outer: Cidr, inner: Cidr): boolean {
  return inner.length >= outer.length && isInCidr(outer, inner.address);
}

/** The part of a byte that a prefix covers, as a mask. */
function maskOfByte(length: number, index: number): number {
  const covered = Math.min(8, Math.max(0, length - index * 8));
  return 0xff & (0xff << (8 - covered));
}
