import type { Environment } from '@marcbachmann/cel-js';
import { bytesToIp, ipToBytes } from '#base/net/address.js';
import { type Cidr, formatCidr, isCidrInCidr, isInCidr, maskCidr, parseNetwork } from '#base/net/cidr.js';
import { type IpRange, isInRange } from '#base/net/ranges.js';
import { define } from './define.js';

class IpNamespace {}

class CelIp {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The canonical text. */
  get text(): string {
    return bytesToIp(this.bytes) ?? '';
  }
}

class CelCidr {
  readonly block: Cidr;

  constructor(block: Cidr) {
    this.block = block;
  }
}

/** Undefined for anything but an address, and for IPv4 written as IPv6. */
function parseIp(text: string): CelIp | undefined {
  const bytes = ipToBytes(text);
  return bytes === undefined || isInRange(bytes, 'mapped') ? undefined : new CelIp(bytes);
}

function ip(text: string): CelIp {
  const address = parseIp(text);
  if (address === undefined)
    throw new Error(`IP Address ${JSON.stringify(text)} parse error during conversion from string`);
  return address;
}

function parseBlock(text: string): CelCidr | undefined {
  const block = parseNetwork(text);
  return block === undefined || isInRange(block.address, 'mapped') ? undefined : new CelCidr(block);
}

function cidr(text: string): CelCidr {
  const block = parseBlock(text);
  if (block === undefined)
    throw new Error(`network address parse error during conversion from string: ${JSON.stringify(text)}`);
  return block;
}

const isOf =
  (...ranges: readonly IpRange[]) =>
  ({ bytes }: CelIp): boolean =>
    isInRange(bytes, ...ranges);

/** Kubernetes' functions on IP addresses and blocks. */
export function registerNetwork(environment: Environment): void {
  environment.registerType('net.IP', { ctor: CelIp, fields: {} });
  environment.registerType('net.CIDR', { ctor: CelCidr, fields: {} });
  environment.registerType('kubernetes.Ip', { ctor: IpNamespace, fields: {} });
  environment.registerConstant('ip', 'kubernetes.Ip', new IpNamespace());
  const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
  environment.registerOperator('net.IP == net.IP', (a: CelIp, b: CelIp) => same(a.bytes, b.bytes));
  environment.registerOperator(
    'net.CIDR == net.CIDR',
    (a: CelCidr, b: CelCidr) => same(a.block.address, b.block.address) && a.block.length === b.block.length,
  );
  define(environment, {
    'ip(string): net.IP': ip,
    'isIP(string): bool': (text: string) => parseIp(text) !== undefined,
    'kubernetes.Ip.isCanonical(string): bool': (_ns: unknown, text: string) => ip(text).text === text,
    'string(net.IP): string': (value: CelIp) => value.text,
    'net.IP.family(): int': (value: CelIp) => BigInt(value.bytes.length === 4 ? 4 : 6),
    'net.IP.isUnspecified(): bool': isOf('unspecified'),
    'net.IP.isLoopback(): bool': isOf('loopback'),
    'net.IP.isLinkLocalMulticast(): bool': isOf('linkLocalMulticast'),
    'net.IP.isLinkLocalUnicast(): bool': isOf('linkLocal'),
    'net.IP.isGlobalUnicast(): bool': ({ bytes }: CelIp) =>
      !isInRange(bytes, 'unspecified', 'loopback', 'linkLocal', 'multicast', 'broadcast'),
    'cidr(string): net.CIDR': cidr,
    'isCIDR(string): bool': (text: string) => parseBlock(text) !== undefined,
    'string(net.CIDR): string': ({ block }: CelCidr) => formatCidr(block),
    'net.CIDR.containsIP(string): bool': ({ block }: CelCidr, text: string) =>
      isInCidr(block, ip(text).bytes),
    'net.CIDR.containsIP(net.IP): bool': ({ block }: CelCidr, value: CelIp) => isInCidr(block, value.bytes),
    'net.CIDR.containsCIDR(string): bool': ({ block }: CelCidr, text: string) =>
      isCidrInCidr(block, cidr(text).block),
    'net.CIDR.containsCIDR(net.CIDR): bool': ({ block }: CelCidr, other: CelCidr) =>
      isCidrInCidr(block, other.block),
    'net.CIDR.ip(): net.IP': ({ block }: CelCidr) => new CelIp(block.address),
    'net.CIDR.masked(): net.CIDR': ({ block }: CelCidr) => new CelCidr(maskCidr(block)),
    'net.CIDR.prefixLength(): int': ({ block }: CelCidr) => BigInt(block.length),
  });
}
