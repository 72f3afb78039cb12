import { objectsOf, numberOf, pathOf, stringOf, stringsOf } from '../json.js';
import type { Store } from '../storage/store.js';

const nodePorts = { first: 30_000, last: 32_767 } as const;

function toNumber(ip: string): number {
  return ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** Gives out cluster IPs and node ports; what is taken is read from the stored services. */
export class ServiceAddresses {
  readonly #base: number;
  readonly #size: number;
  #nextIp: number;
  #nextPort: number = nodePorts.first;
  readonly #ips = new Set<string>();
  readonly #ports = new Set<number>();

  /** Takes an IPv4 range such as 10.96.0.0/16. */
  constructor(cidr: string) {
    const [ip = '', bits = ''] = cidr.split('/');
    this.#base = toNumber(ip);
    this.#size = 2 ** (32 - Number(bits));
    if (!Number.isInteger(this.#base) || !(this.#size >= 16))
      throw new RangeError(`not a usable service range: ${cidr}`);
    // The low addresses are for those who ask for a fixed one, such as DNS.
    this.#nextIp = Math.min(256, Math.floor(this.#size / 4));
  }

  /** The first address: the `kubernetes` service. */
  get first(): string {
    return toText(this.#base + 1);
  }

  /** Follows the stored services from now on. */
  adopt(store: Store): void {
    for (const service of store.list('services')) this.#take(service.spec);
    store.subscribe('services', ({ type, object, previous }) => {
      if (previous !== undefined) this.#release(previous.spec);
      if (type !== 'DELETED') this.#take(object.spec);
    });
  }

  contains(ip: string): boolean {
    const offset = toNumber(ip) - this.#base;
    return offset > 0 && offset < this.#size - 1;
  }

  isIpTaken(ip: string): boolean {
    return this.#ips.has(ip);
  }

  isPortTaken(port: number): boolean {
    return this.#ports.has(port);
  }

  isNodePort(port: number): boolean {
    return port >= nodePorts.first && port <= nodePorts.last;
  }

  /** A free cluster IP; undefined when the range is full. */
  freeIp(): string | undefined {
    for (let i = 0; i < this.#size - 2; i++) {
      const offset = 1 + ((this.#nextIp - 1 + i) % (this.#size - 2));
      const ip = toText(this.#base + offset);
      if (this.#ips.has(ip) || offset === 1) continue;
      this.#nextIp = offset + 1;
      return ip;
    }
    return undefined;
  }

  /** A free node port that is not in `except`; undefined when there is none. */
  freePort(except: ReadonlySet<number>): number | undefined {
    const count = nodePorts.last - nodePorts.first + 1;
    for (let i = 0; i < count; i++) {
      const port = nodePorts.first + ((this.#nextPort - nodePorts.first + i) % count);
      if (this.#ports.has(port) || except.has(port)) continue;
      this.#nextPort = port + 1 > nodePorts.last ? nodePorts.first : port + 1;
      return port;
    }
    return undefined;
  }

  #take(spec: Parameters<typeof pathOf>[0]): void {
    for (const ip of clusterIps(spec)) this.#ips.add(ip);
    for (const port of nodePortsOf(spec)) this.#ports.add(port);
  }

  #release(spec: Parameters<typeof pathOf>[0]): void {
    for (const ip of clusterIps(spec)) this.#ips.delete(ip);
    for (const port of nodePortsOf(spec)) this.#ports.delete(port);
  }
}

function clusterIps(spec: Parameters<typeof pathOf>[0]): string[] {
  return [stringOf(pathOf(spec, 'clusterIP')), ...stringsOf(pathOf(spec, 'clusterIPs'))].filter(
    (ip) => ip !== '' && ip !== 'None',
  );
}

function nodePortsOf(spec: Parameters<typeof pathOf>[0]): number[] {
  const ports = objectsOf(pathOf(spec, 'ports')).map((p) => numberOf(p.nodePort) ?? 0);
  return [...ports, numberOf(pathOf(spec, 'healthCheckNodePort')) ?? 0].filter((p) => p > 0);
}
