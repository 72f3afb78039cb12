import type { Environment } from '@marcbachmann/cel-js';
import { type IpAddress, ipOf, parseIp } from '../ip-address.js';
import { define } from './define.js';

class IpNamespace {}

class CelIp {
  readonly address: IpAddress;

  constructor(address: IpAddress) {
    this.address = address;
  }
}

class CelCidr {
  readonly address: IpAddress;
  readonly length: number;

  constructor(address: IpAddress, length: number) {
    this.address = address;
    this.length = length;
  }

  get hostBits(): bigint {
    return BigInt((this.address.family === 4 ? 32 : 128) - this.length);
  }
}

function ip(text: string): CelIp {
  const address = parseIp(text);
  if (address === undefined)
    throw new Error(`IP Address ${JSON.stringify(text)} parse error during conversion from string`);
  return new CelIp(address);
}

function parseCidr(text: string): CelCidr | undefined {
  const match = /^(.*)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = parseIp(match?.[1] ?? '');
  const length = Number(match?.[2]);
  if (address === undefined || length > (address.family === 4 ? 32 : 128)) return undefined;
  return new CelCidr(address, length);
}

function cidr(text: string): CelCidr {
  const block = parseCidr(text);
  if (block === undefined)
    throw new Error(`network address parse error during conversion from string: ${JSON.stringify(text)}`);
  return block;
}

function contains(block: CelCidr, address: IpAddress): boolean {
  const bits = block.hostBits;
  return block.address.family === address.family && block.address.bits >> bits === address.bits >> bits;
}

function isIn(prefix: string): (value: CelIp) => boolean {
  const block = cidr(prefix);
  return ({ address }) => contains(block, address);
}

const blocks = {
  loopback: [isIn('127.0.0.0/8'), isIn('::1/128')],
  linkLocalUnicast: [isIn('169.254.0.0/16'), isIn('fe80::/10')],
  linkLocalMulticast: [isIn('224.0.0.0/24'), isIn('ff02::/16')],
  notGlobal: [isIn('224.0.0.0/4'), isIn('ff00::/8'), isIn('255.255.255.255/32')],
} as const;

const any = (tests: readonly ((v: CelIp) => boolean)[]) => (value: CelIp) => tests.some((t) => t(value));
const isUnspecified = ({ address }: CelIp): boolean => address.bits === 0n;

/** Kubernetes' functions on IP addresses and blocks. */
export function registerNetwork(environment: Environment): void {
  environment.registerType('net.IP', { ctor: CelIp, fields: {} });
  environment.registerType('net.CIDR', { ctor: CelCidr, fields: {} });
  environment.registerType('kubernetes.Ip', { ctor: IpNamespace, fields: {} });
  environment.registerConstant('ip', 'kubernetes.Ip', new IpNamespace());
  const same = (a: IpAddress, b: IpAddress): boolean => a.family === b.family && a.bits === b.bits;
  environment.registerOperator('net.IP == net.IP', (a: CelIp, b: CelIp) => same(a.address, b.address));
  environment.registerOperator(
    'net.CIDR == net.CIDR',
    (a: CelCidr, b: CelCidr) => same(a.address, b.address) && a.length === b.length,
  );
  const isGlobal = (value: CelIp): boolean =>
    !isUnspecified(value) &&
    ![...blocks.loopback, ...blocks.linkLocalUnicast, ...blocks.notGlobal].some((t) => t(value));
  const containsCidr = (block: CelCidr, other: CelCidr): boolean =>
    other.length >= block.length && contains(block, other.address);
  define(environment, {
    'ip(string): net.IP': ip,
    'isIP(string): bool': (text: string) => parseIp(text) !== undefined,
    'kubernetes.Ip.isCanonical(string): bool': (_ns: unknown, text: string) => ip(text).address.text === text,
    'string(net.IP): string': (value: CelIp) => value.address.text,
    'net.IP.family(): int': (value: CelIp) => BigInt(value.address.family),
    'net.IP.isUnspecified(): bool': isUnspecified,
    'net.IP.isLoopback(): bool': any(blocks.loopback),
    'net.IP.isLinkLocalMulticast(): bool': any(blocks.linkLocalMulticast),
    'net.IP.isLinkLocalUnicast(): bool': any(blocks.linkLocalUnicast),
    'net.IP.isGlobalUnicast(): bool': isGlobal,
    'cidr(string): net.CIDR': cidr,
    'isCIDR(string): bool': (text: string) => parseCidr(text) !== undefined,
    'string(net.CIDR): string': (block: CelCidr) => `${block.address.text}/${block.length}`,
    'net.CIDR.containsIP(string): bool': (block: CelCidr, text: string) => contains(block, ip(text).address),
    'net.CIDR.containsIP(net.IP): bool': (block: CelCidr, value: CelIp) => contains(block, value.address),
    'net.CIDR.containsCIDR(string): bool': (block: CelCidr, text: string) => containsCidr(block, cidr(text)),
    'net.CIDR.containsCIDR(net.CIDR): bool': containsCidr,
    'net.CIDR.ip(): net.IP': (block: CelCidr) => new CelIp(block.address),
    'net.CIDR.masked(): net.CIDR': (block: CelCidr) => {
      const { family, bits } = block.address;
      return new CelCidr(ipOf(family, (bits >> block.hostBits) << block.hostBits), block.length);
    },
    'net.CIDR.prefixLength(): int': (block: CelCidr) => BigInt(block.length),
  });
}
