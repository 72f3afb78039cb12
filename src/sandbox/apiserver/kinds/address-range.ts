import { isIP } from 'node:net';
import { decodeIpv6, encodeIpv6 } from '#base/system/socket-address.js';

/** Name of an address family as the API spells it. */
export type IpFamily = 'IPv4' | 'IPv6';

export function ipFamilyOf(address: string): IpFamily {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** Upstream gives out no more than this many addresses of an IPv6 range. */
const sizeMax = 2 ** 16;

/**
 * A range of cluster IPs. The low part is left for those who ask for a fixed address,
 * such as DNS, and given out only when the rest is full (KEP-3070).
 */
export class AddressRange {
  readonly cidr: string;
  readonly family: IpFamily;
  readonly #base: bigint;
  /** Usable offsets are 1 to this one. */
  readonly #last: number;
  /** First offset of the part that is given out first. */
  readonly #dynamic: number;
  #next: number;

  constructor(cidr: string) {
    const [ip = '', bits = ''] = cidr.split('/');
    const width = isIP(ip) === 6 ? 128 : 32;
    const hostBits = width - Number(bits);
    if (isIP(ip) === 0 || !/^\d+$/.test(bits) || hostBits < 4 || hostBits > width)
      throw new RangeError(`not a usable service range: ${cidr}`);
    this.cidr = cidr;
    this.family = ipFamilyOf(ip);
    this.#base = (toNumber(ip) >> BigInt(hostBits)) << BigInt(hostBits);
    const size = Math.min(2 ** hostBits, sizeMax);
    // The network's own address and, in IPv4, its broadcast address are nobody's.
    this.#last = this.family === 'IPv4' ? size - 2 : size - 1;
    this.#dynamic = 1 + Math.min(Math.max(16, Math.floor(size / 16)), 256, Math.floor(size / 2));
    this.#next = this.#dynamic;
  }

  /** The first address: the `kubernetes` service. */
  get first(): string {
    return this.#at(1);
  }

  contains(ip: string): boolean {
    if (isIP(ip) === 0 || ipFamilyOf(ip) !== this.family) return false;
    const offset = toNumber(ip) - this.#base;
    return offset >= 1n && offset <= BigInt(this.#last);
  }

  /** A free address; undefined when the range is full. */
  free(isTaken: (ip: string) => boolean): string | undefined {
    const count = this.#last - this.#dynamic + 1;
    for (let i = 0; i < count; i++) {
      const offset = this.#dynamic + ((this.#next - this.#dynamic + i) % count);
      const ip = this.#at(offset);
      if (isTaken(ip)) continue;
      this.#next = offset + 1;
      return ip;
    }
    // From 2: the first one is the `kubernetes` service's, even before it exists.
    for (let offset = 2; offset < this.#dynamic; offset++) {
      const ip = this.#at(offset);
      if (!isTaken(ip)) return ip;
    }
    return undefined;
  }

  #at(offset: number): string {
    return toText(this.#base + BigInt(offset), this.family);
  }
}

/** The one way an address is written here, whichever of its forms it came in. */
export function canonicalIp(ip: string): string {
  return isIP(ip) === 6 ? toText(toNumber(ip), 'IPv6') : ip;
}

function toNumber(ip: string): bigint {
  const bytes = isIP(ip) === 6 ? [...encodeIpv6(ip)] : ip.split('.').map(Number);
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function toText(value: bigint, family: IpFamily): string {
  const length = family === 'IPv6' ? 16 : 4;
  const bytes = Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex');
  return decodeIpv6(bytes);
}
