import {
  bytesToIp,
  bytesToNumber,
  familyOf,
  type IpFamily,
  ipToBytes,
  numberToBytes,
} from '#base/net/address.js';
import { maskCidr, parseNetwork } from '#base/net/cidr.js';

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
    const network = parseNetwork(cidr);
    const hostBits = network === undefined ? 0 : network.address.length * 8 - network.length;
    if (network === undefined || hostBits < 4) throw new RangeError(`not a usable service range: ${cidr}`);
    this.cidr = cidr;
    this.family = familyOf(cidr);
    this.#base = bytesToNumber(maskCidr(network).address);
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
    const bytes = ipToBytes(ip);
    if (bytes === undefined || familyOf(ip) !== this.family) return false;
    const offset = bytesToNumber(bytes) - this.#base;
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
    return bytesToIp(numberToBytes(this.#base + BigInt(offset), this.family)) ?? '';
  }
}
