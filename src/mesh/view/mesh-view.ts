import { ipToBytes } from '#base/net/address.js';
import { isInCidr } from '#base/net/cidr.js';
import type { ResourceHandler, XdsResource } from '../xds/client/delta-client.js';
import { addressType } from '../xds/type-urls.js';
import { decodeAddress } from './decode.js';
import type { PortPurpose } from './host.js';
import {
  type GatewayRef,
  type KnownService,
  type KnownWorkload,
  networkAddress,
  type PortMap,
} from './known.js';
import { MultiMap } from './multi-map.js';
import type { RankedHosts } from './ranked-hosts.js';
import { ServiceHosts } from './service-hosts.js';
import type { Viewpoint } from './viewpoint.js';

/** What changed; listeners look at the view itself for the rest. */
export interface WorkloadChange {
  readonly uid: string;
  readonly before: KnownWorkload | undefined;
  readonly after: KnownWorkload | undefined;
}

/** Whose an address is. */
export type AddressOwner =
  | { readonly kind: 'workload'; readonly workload: KnownWorkload }
  | { readonly kind: 'service'; readonly service: KnownService };

/** An address as somebody asks about it. */
export interface AddressQuestion {
  readonly network: string;
  readonly ip: string;
  /** Namespace of who asks: of several services its own comes first, and those hidden from it not at all. */
  readonly clientNamespace: string;
}

/**
 * The mesh as the Address messages tell it: workloads and services, indexed the ways proxies ask for them, and the
 * hosts that follow from them. Each message changes what it is about and nothing else; reads never see half of one.
 * Workloads may arrive before their services.
 */
export class MeshView implements ResourceHandler {
  readonly typeUrl = addressType;
  readonly #workloads = new Map<string, KnownWorkload>();
  readonly #workloadsByAddress = new MultiMap<KnownWorkload>();
  /** Those whose addresses may be shared: host network pods, and what slices list. */
  readonly #workloadsByListedAddress = new MultiMap<KnownWorkload>();
  readonly #workloadsByHostname = new MultiMap<KnownWorkload>();
  readonly #workloadsByName = new MultiMap<KnownWorkload>();
  readonly #services = new Map<string, KnownService>();
  readonly #servicesByVip = new MultiMap<KnownService>();
  readonly #servicesByHostname = new MultiMap<KnownService>();
  readonly #servicesWithCidr = new Set<KnownService>();
  /** Workloads by service key and uid; the service itself may be unknown. */
  readonly #members = new Map<string, Map<string, KnownWorkload>>();
  /** Of known services that were asked for. */
  readonly #hosts = new Map<string, ServiceHosts>();
  readonly #listeners = new Set<(change: WorkloadChange) => void>();

  upsert({ value }: XdsResource): void {
    const decoded = decodeAddress(value);
    if (decoded.kind === 'workload') this.putWorkload(decoded.workload);
    else this.putService(decoded.service);
  }

  remove(name: string): void {
    const workload = this.#workloads.get(name);
    if (workload !== undefined) this.#replaceWorkload(name, workload, undefined);
    else this.#dropService(name);
  }

  /** Calls back after every added, changed or removed workload. Returns the way to stop. */
  onWorkload(listener: (change: WorkloadChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  putWorkload(workload: KnownWorkload): void {
    this.#replaceWorkload(workload.uid, this.#workloads.get(workload.uid), workload);
  }

  putService(service: KnownService): void {
    this.#dropService(service.key);
    this.#services.set(service.key, service);
    this.#servicesByHostname.add(service.hostname, service);
    for (const { network, ip } of service.vips) this.#servicesByVip.add(networkAddress(network, ip), service);
    if (service.cidrVips.length > 0) this.#servicesWithCidr.add(service);
  }

  get workloads(): Iterable<KnownWorkload> {
    return this.#workloads.values();
  }

  get services(): Iterable<KnownService> {
    return this.#services.values();
  }

  workload(uid: string): KnownWorkload | undefined {
    return this.#workloads.get(uid);
  }

  /** The service `namespace/hostname`. */
  service(key: string): KnownService | undefined {
    return this.#services.get(key);
  }

  /** The service a client in a namespace means by a hostname. */
  serviceOfHostname(hostname: string, clientNamespace: string): KnownService | undefined {
    return bestService(this.#servicesByHostname.get(hostname), clientNamespace);
  }

  /** Workloads called `namespace/name`; several clusters may have one each. */
  workloadsNamed(namespace: string, name: string): readonly KnownWorkload[] {
    return this.#workloadsByName.get(`${namespace}/${name}`);
  }

  /** The workload an address belongs to; of several that claim it, the one most likely to be what is there. */
  workloadAt(network: string, ip: string): KnownWorkload | undefined {
    const claims = this.#workloadsByAddress.get(networkAddress(network, ip));
    return claims.length < 2 ? claims[0] : claims.toSorted(byClaim)[0];
  }

  /** The services a workload is a host of, with its ports: by itself, or listed by one of its addresses. */
  servicesBehind(workload: KnownWorkload, ip: string): (readonly [key: string, ports: PortMap])[] {
    const listed = this.#workloadsByListedAddress.get(networkAddress(workload.network, ip));
    return [...workload.services, ...listed.flatMap(({ services }) => [...services])];
  }

  /** The service an address is a virtual one of. */
  serviceAt(question: AddressQuestion): KnownService | undefined {
    const { network, ip, clientNamespace } = question;
    const exact = bestService(this.#servicesByVip.get(networkAddress(network, ip)), clientNamespace);
    return exact ?? this.#serviceByRange(question);
  }

  /**
   * Whose an address is. What the cluster gave a pod is the pod's, and no service can claim it; a service comes before
   * other workloads, whose addresses are only said to be theirs.
   */
  ownerOf(question: AddressQuestion): AddressOwner | undefined {
    const workload = this.workloadAt(question.network, question.ip);
    if (workload !== undefined && isPod(workload)) return { kind: 'workload', workload };
    const service = this.serviceAt(question);
    if (service !== undefined) return { kind: 'service', service };
    return workload === undefined ? undefined : { kind: 'workload', workload };
  }

  /** What a reference of a client in a namespace points to; undefined when nothing here is it. */
  gatewayAt({ destination }: GatewayRef, clientNamespace: string): AddressOwner | undefined {
    switch (destination.kind) {
      case 'hostname': {
        const key = `${destination.namespace}/${destination.hostname}`;
        const service = this.#services.get(key);
        if (service !== undefined) return { kind: 'service', service };
        const [workload] = this.#workloadsByHostname.get(key);
        return workload === undefined ? undefined : { kind: 'workload', workload };
      }
      case 'address':
        return this.ownerOf({ ...destination, clientNamespace });
      case 'unknown':
        return undefined;
    }
  }

  /** The hosts of a service's port as seen from a place; undefined when there is no such service or port. */
  hosts(o: {
    readonly service: KnownService;
    readonly port: number;
    readonly from: Viewpoint;
    readonly purpose: PortPurpose;
  }): RankedHosts | undefined {
    // The one that is known now: the caller's may be older.
    const service = this.#services.get(o.service.key);
    if (service === undefined) return undefined;
    let hosts = this.#hosts.get(service.key);
    if (hosts === undefined) {
      hosts = new ServiceHosts(service, this.#membersOf(service.key));
      this.#hosts.set(service.key, hosts);
    }
    return hosts.of(o.port, o.purpose, o.from);
  }

  /** Workloads of a service key, whatever their health. */
  members(key: string): Iterable<KnownWorkload> {
    return this.#members.get(key)?.values() ?? [];
  }

  /** Keys of services that are not known but have workloads. */
  *awaitedServices(): Generator<string> {
    for (const [key, members] of this.#members) {
      if (members.size > 0 && !this.#services.has(key)) yield key;
    }
  }

  /** Among ranges: the own namespace first, then the longest prefix, then canonical ones (as upstream). */
  #serviceByRange({ network, ip, clientNamespace }: AddressQuestion): KnownService | undefined {
    const bytes = this.#servicesWithCidr.size === 0 ? undefined : ipToBytes(ip);
    if (bytes === undefined) return undefined;
    let best: { readonly service: KnownService; readonly length: number } | undefined;
    for (const service of this.#servicesWithCidr) {
      if (!isVisible(service, clientNamespace)) continue;
      for (const { network: of, cidr } of service.cidrVips) {
        if (of !== network || !isInCidr(cidr, bytes)) continue;
        const isOwn = service.namespace === clientNamespace;
        const isOwnBest = best?.service.namespace === clientNamespace;
        const byLength = cidr.length - (best?.length ?? -1);
        const isBetter =
          best === undefined ||
          (isOwn !== isOwnBest ? isOwn : byLength !== 0 ? byLength > 0 : isBefore(service, best.service));
        if (isBetter) best = { service, length: cidr.length };
      }
    }
    return best?.service;
  }

  #replaceWorkload(uid: string, before: KnownWorkload | undefined, after: KnownWorkload | undefined): void {
    if (before !== undefined) this.#unindex(before);
    if (after === undefined) this.#workloads.delete(uid);
    else this.#index(after);
    for (const key of new Set([...(before?.services.keys() ?? []), ...(after?.services.keys() ?? [])]))
      this.#hosts.get(key)?.put(uid, after?.services.has(key) === true ? after : undefined);
    for (const listener of this.#listeners) listener({ uid, before, after });
  }

  #index(workload: KnownWorkload): void {
    this.#workloads.set(workload.uid, workload);
    const byAddress = this.#addressIndexOf(workload);
    for (const ip of workload.addresses) byAddress.add(networkAddress(workload.network, ip), workload);
    if (workload.hostname !== '')
      this.#workloadsByHostname.add(`${workload.namespace}/${workload.hostname}`, workload);
    this.#workloadsByName.add(`${workload.namespace}/${workload.name}`, workload);
    for (const key of workload.services.keys()) this.#membersOf(key).set(workload.uid, workload);
  }

  #unindex(workload: KnownWorkload): void {
    const byAddress = this.#addressIndexOf(workload);
    for (const ip of workload.addresses) byAddress.delete(networkAddress(workload.network, ip), workload);
    this.#workloadsByHostname.delete(`${workload.namespace}/${workload.hostname}`, workload);
    this.#workloadsByName.delete(`${workload.namespace}/${workload.name}`, workload);
    for (const key of workload.services.keys()) {
      const members = this.#members.get(key);
      members?.delete(workload.uid);
      // Host sets hold on to the map of a known service.
      if (members?.size === 0 && !this.#hosts.has(key)) this.#members.delete(key);
    }
  }

  #addressIndexOf({ networkMode }: KnownWorkload): MultiMap<KnownWorkload> {
    return networkMode === 'Standard' ? this.#workloadsByAddress : this.#workloadsByListedAddress;
  }

  #membersOf(key: string): Map<string, KnownWorkload> {
    let members = this.#members.get(key);
    if (members === undefined) {
      members = new Map();
      this.#members.set(key, members);
    }
    return members;
  }

  #dropService(key: string): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    this.#services.delete(key);
    this.#servicesByHostname.delete(service.hostname, service);
    for (const { network, ip } of service.vips)
      this.#servicesByVip.delete(networkAddress(network, ip), service);
    this.#servicesWithCidr.delete(service);
    this.#hosts.delete(key);
    if (this.#members.get(key)?.size === 0) this.#members.delete(key);
  }
}

function isPod({ uid }: KnownWorkload): boolean {
  return uid.includes('//Pod/');
}

/**
 * Which of several workloads an address belongs to: pods, whose addresses the cluster gave them; then those in the
 * mesh, of which more is known (as upstream); then what is alive, where an address was given again. Every proxy comes
 * to the same result.
 */
function byClaim(a: KnownWorkload, b: KnownWorkload): number {
  const rankOf = (w: KnownWorkload) =>
    (isPod(w) ? 4 : 0) + (w.protocol === 'HBONE' ? 2 : 0) + (w.status === 'Healthy' ? 1 : 0);
  return rankOf(b) - rankOf(a) || (a.uid < b.uid ? -1 : 1);
}

/** Of several services: the client's own, then a canonical one, then the first by key, so that proxies agree. */
function bestService(services: readonly KnownService[], clientNamespace: string): KnownService | undefined {
  let best: KnownService | undefined;
  for (const service of services) {
    if (!isVisible(service, clientNamespace)) continue;
    if (service.namespace === clientNamespace) return service;
    if (best === undefined || isBefore(service, best)) best = service;
  }
  return best;
}

function isBefore(a: KnownService, b: KnownService): boolean {
  return a.canonical === b.canonical ? a.key < b.key : a.canonical;
}

function isVisible(service: KnownService, clientNamespace: string): boolean {
  return service.visibility === 'Public' || service.namespace === clientNamespace;
}
