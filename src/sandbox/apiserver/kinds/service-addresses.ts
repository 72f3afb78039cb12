import { canonicalIp, familyOf, type IpFamily } from '#base/net/address.js';
import { type JsonObject, objectsOf, numberOf, valueIn, stringOf, stringsOf } from '../../base/json.js';
import type { Store } from '../storage/store.js';
import { AddressRange } from './address-range.js';

/** Node ports; the first ones are left for those who ask for a fixed port (KEP-3668). */
const nodePorts = { first: 30_000, dynamic: 30_086, last: 32_767 } as const;

/** Gives out cluster IPs and node ports; what is taken is read from the stored services. */
export class ServiceAddresses {
  /** In the order of the cluster's families: the first is the default one. */
  readonly ranges: readonly AddressRange[];
  #nextPort: number = nodePorts.dynamic;
  readonly #ips = new Set<string>();
  readonly #ports = new Set<number>();
  /** Of writes that are under way. */
  readonly #heldIps = new Set<string>();
  readonly #heldPorts = new Set<number>();

  /** Takes one range, or one of each family with a comma between: `10.96.0.0/16,fd00:10:96::/112`. */
  constructor(cidrs: string) {
    this.ranges = cidrs.split(',').map((cidr) => new AddressRange(cidr.trim()));
    const families = new Set(this.ranges.map((range) => range.family));
    if (families.size !== this.ranges.length)
      throw new RangeError(`two service ranges of one family: ${cidrs}`);
  }

  /** The cluster's address families, the default one first. */
  get families(): readonly IpFamily[] {
    return this.ranges.map((range) => range.family);
  }

  /** The first address: the `kubernetes` service. */
  get first(): string {
    return this.ranges[0]?.first ?? '';
  }

  /** Follows the stored services from now on. */
  adopt(store: Store): void {
    for (const service of store.list('services')) this.#take(service.spec);
    store.subscribe('services', ({ type, object, previous }) => {
      if (previous !== undefined) this.#release(previous.spec);
      if (type !== 'DELETED') this.#take(object.spec);
    });
  }

  /** The range of a family; undefined when the cluster does not have it. */
  range(family: IpFamily): AddressRange | undefined {
    return this.ranges.find((range) => range.family === family);
  }

  /** Why an address that somebody asks for cannot be given; undefined when it can. */
  problem(ip: string): string | undefined {
    const range = this.range(familyOf(ip));
    if (range === undefined || !range.contains(ip))
      return `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${range?.cidr ?? ''}`;
    return this.#isTaken(canonicalIp(ip) ?? ip) ? 'provided IP is already allocated' : undefined;
  }

  /** A free cluster IP of a family; undefined when the range is full. */
  freeIp(family: IpFamily): string | undefined {
    return this.range(family)?.free((ip) => this.#isTaken(ip));
  }

  /** Why a node port that somebody asks for cannot be given; undefined when it can. */
  portProblem(port: number): string | undefined {
    if (port < nodePorts.first || port > nodePorts.last)
      return `provided port is not in the valid range. The range of valid ports is ${nodePorts.first}-${nodePorts.last}`;
    return this.#isPortTaken(port) ? 'provided port is already allocated' : undefined;
  }

  /** A free node port that is not in `except`; undefined when there is none. */
  freePort(except: ReadonlySet<number>): number | undefined {
    const isFree = (port: number): boolean => !this.#isPortTaken(port) && !except.has(port);
    const count = nodePorts.last - nodePorts.dynamic + 1;
    for (let i = 0; i < count; i++) {
      const port = nodePorts.dynamic + ((this.#nextPort - nodePorts.dynamic + i) % count);
      if (!isFree(port)) continue;
      this.#nextPort = port + 1;
      return port;
    }
    for (let port: number = nodePorts.first; port < nodePorts.dynamic; port++) if (isFree(port)) return port;
    return undefined;
  }

  /** Keeps what a service is about to get, and did not have before, from others; returns how to let go. */
  hold(spec: JsonObject, before: JsonObject | undefined): () => void {
    const ips = clusterIps(spec).filter((ip) => !clusterIps(before).includes(ip));
    const ports = nodePortsOf(spec).filter((port) => !nodePortsOf(before).includes(port));
    for (const ip of ips) this.#heldIps.add(ip);
    for (const port of ports) this.#heldPorts.add(port);
    return () => {
      for (const ip of ips) this.#heldIps.delete(ip);
      for (const port of ports) this.#heldPorts.delete(port);
    };
  }

  #isTaken(ip: string): boolean {
    return this.#ips.has(ip) || this.#heldIps.has(ip);
  }

  #isPortTaken(port: number): boolean {
    return this.#ports.has(port) || this.#heldPorts.has(port);
  }

  #take(spec: Parameters<typeof valueIn>[0]): void {
    for (const ip of clusterIps(spec)) this.#ips.add(ip);
    for (const port of nodePortsOf(spec)) this.#ports.add(port);
  }

  #release(spec: Parameters<typeof valueIn>[0]): void {
    for (const ip of clusterIps(spec)) this.#ips.delete(ip);
    for (const port of nodePortsOf(spec)) this.#ports.delete(port);
  }
}

function clusterIps(spec: Parameters<typeof valueIn>[0]): string[] {
  return [stringOf(valueIn(spec, 'clusterIP')), ...stringsOf(valueIn(spec, 'clusterIPs'))]
    .filter((ip) => ip !== '' && ip !== 'None')
    .map((ip) => canonicalIp(ip) ?? ip);
}

function nodePortsOf(spec: Parameters<typeof valueIn>[0]): number[] {
  const ports = objectsOf(valueIn(spec, 'ports')).map((p) => numberOf(p.nodePort) ?? 0);
  return [...ports, numberOf(valueIn(spec, 'healthCheckNodePort')) ?? 0].filter((p) => p > 0);
}
