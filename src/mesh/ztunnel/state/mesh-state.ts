import { fromBinary } from '@bufbuild/protobuf';
import type { ResourceHandler, XdsResource } from '../../xds/client/delta-client.js';
import { AddressSchema } from '../../xds/gen/istio/workload_pb.js';
import { ipToBytes } from '#base/net/address.js';
import { isInCidr } from '#base/net/cidr.js';
import { addressType } from '../../xds/type-urls.js';
import { decodeService, decodeWorkload } from './decode.js';
import { type Endpoint, networkAddress, type Service, serviceKey, type Workload } from './model.js';

/** What changed with a push; listeners look at the state itself for the rest. */
export interface WorkloadChange {
  readonly uid: string;
  readonly before: Workload | undefined;
  readonly after: Workload | undefined;
}

/**
 * Workloads, services and the endpoints that follow from them, indexed for lookups by address, name and hostname.
 * Endpoints may arrive before their service; they wait under its key.
 */
export class MeshState implements ResourceHandler {
  readonly typeUrl = addressType;
  readonly #workloadsByUid = new Map<string, Workload>();
  readonly #workloadsByAddress = new Map<string, Set<Workload>>();
  readonly #workloadsByHostname = new Map<string, Set<Workload>>();
  readonly #workloadsByName = new Map<string, Set<Workload>>();
  readonly #servicesByKey = new Map<string, Service>();
  readonly #servicesByVip = new Map<string, Set<Service>>();
  readonly #servicesByHostname = new Map<string, Set<Service>>();
  readonly #servicesWithCidr = new Set<Service>();
  /** By service key, then workload uid; entries without a service are staged. */
  readonly #endpointsByService = new Map<string, Map<string, Endpoint>>();
  readonly #listeners = new Set<(change: WorkloadChange) => void>();

  upsert(resource: XdsResource): void {
    const { type } = fromBinary(AddressSchema, resource.value);
    switch (type.case) {
      case 'workload':
        this.putWorkload(decodeWorkload(type.value));
        return;
      case 'service':
        this.putService(decodeService(type.value));
        return;
      default:
        throw new Error('address is neither a workload nor a service');
    }
  }

  remove(name: string): void {
    if (this.#workloadsByUid.has(name)) this.#dropWorkload(name);
    else this.#dropService(name);
  }

  /** Calls back after every added, changed or removed workload. Returns the way to stop. */
  onWorkload(listener: (change: WorkloadChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  putWorkload(workload: Workload): void {
    const before = this.#workloadsByUid.get(workload.uid);
    if (before !== undefined) this.#unindexWorkload(before);
    this.#workloadsByUid.set(workload.uid, workload);
    if (workload.networkMode === 'Standard') {
      for (const ip of workload.addresses) {
        addTo(this.#workloadsByAddress, networkAddress(workload.network, ip), workload);
      }
    }
    if (workload.hostname !== '') addTo(this.#workloadsByHostname, serviceKey(workload), workload);
    addTo(this.#workloadsByName, `${workload.namespace}/${workload.name}`, workload);
    for (const [key, ports] of workload.services) {
      let endpoints = this.#endpointsByService.get(key);
      if (endpoints === undefined) {
        endpoints = new Map();
        this.#endpointsByService.set(key, endpoints);
      }
      endpoints.set(workload.uid, { workloadUid: workload.uid, ports, status: workload.status });
    }
    this.#notify({ uid: workload.uid, before, after: workload });
  }

  putService(service: Service): void {
    const key = serviceKey(service);
    this.#dropService(key);
    this.#servicesByKey.set(key, service);
    addTo(this.#servicesByHostname, service.hostname, service);
    for (const { network, ip } of service.vips)
      addTo(this.#servicesByVip, networkAddress(network, ip), service);
    if (service.cidrVips.length > 0) this.#servicesWithCidr.add(service);
  }

  get workloads(): readonly Workload[] {
    return [...this.#workloadsByUid.values()];
  }

  get services(): readonly Service[] {
    return [...this.#servicesByKey.values()];
  }

  workload(uid: string): Workload | undefined {
    return this.#workloadsByUid.get(uid);
  }

  service(key: string): Service | undefined {
    return this.#servicesByKey.get(key);
  }

  /** Services of a hostname, one per namespace. */
  servicesOfHostname(hostname: string): readonly Service[] {
    return [...(this.#servicesByHostname.get(hostname) ?? [])];
  }

  workloadOfHostname(namespace: string, hostname: string): Workload | undefined {
    return first(this.#workloadsByHostname.get(`${namespace}/${hostname}`));
  }

  /** Workloads called `namespace/name`; several clusters may have one each. */
  workloadsNamed(namespace: string, name: string): readonly Workload[] {
    return [...(this.#workloadsByName.get(`${namespace}/${name}`) ?? [])];
  }

  /** The workload an address belongs to; pods and HBONE workloads win where several claim it. */
  workloadAt(network: string, ip: string): Workload | undefined {
    const claims = this.#workloadsByAddress.get(networkAddress(network, ip));
    if (claims === undefined) return undefined;
    let best: Workload | undefined;
    for (const workload of claims) {
      if (best === undefined || addressRank(workload) > addressRank(best)) best = workload;
    }
    return best;
  }

  /** The service an address is a VIP of, as seen by a client in `clientNamespace`. */
  serviceAt(options: { network: string; ip: string; clientNamespace: string }): Service | undefined {
    const { network, ip, clientNamespace } = options;
    const isVisible = (s: Service): boolean => s.visibility === 'Public' || s.namespace === clientNamespace;
    const exact = [...(this.#servicesByVip.get(networkAddress(network, ip)) ?? [])].filter(isVisible);
    const chosen =
      exact.find((s) => s.namespace === clientNamespace) ?? exact.find((s) => s.canonical) ?? exact[0];
    if (chosen !== undefined || this.#servicesWithCidr.size === 0) return chosen;
    return this.#serviceByRange({ network, ip, clientNamespace, isVisible });
  }

  /** Endpoints in use: unhealthy ones only where the service asks for them. */
  endpoints(service: Service): readonly Endpoint[] {
    const all = [...(this.#endpointsByService.get(serviceKey(service))?.values() ?? [])];
    if (service.loadBalancer?.healthPolicy === 'AllowAll') return all;
    return all.filter((endpoint) => endpoint.status === 'Healthy');
  }

  /** Every endpoint of a service key, healthy or not. */
  allEndpoints(key: string): readonly Endpoint[] {
    return [...(this.#endpointsByService.get(key)?.values() ?? [])];
  }

  /** Endpoints whose service is not known yet, by service key. */
  stagedEndpoints(): ReadonlyMap<string, ReadonlyMap<string, Endpoint>> {
    const staged = new Map<string, ReadonlyMap<string, Endpoint>>();
    for (const [key, endpoints] of this.#endpointsByService) {
      if (!this.#servicesByKey.has(key)) staged.set(key, endpoints);
    }
    return staged;
  }

  #serviceByRange(options: {
    network: string;
    ip: string;
    clientNamespace: string;
    isVisible: (service: Service) => boolean;
  }): Service | undefined {
    const bytes = ipToBytes(options.ip);
    if (bytes === undefined) return undefined;
    let best: { service: Service; rank: number } | undefined;
    for (const service of this.#servicesWithCidr) {
      if (!options.isVisible(service)) continue;
      for (const range of service.cidrVips) {
        if (range.network !== options.network || !contains(range, bytes)) continue;
        const rank =
          (service.namespace === options.clientNamespace ? 1_000 : 0) +
          range.length * 2 +
          (service.canonical ? 1 : 0);
        if (best === undefined || rank > best.rank) best = { service, rank };
      }
    }
    return best?.service;
  }

  #dropWorkload(uid: string): void {
    const before = this.#workloadsByUid.get(uid);
    if (before === undefined) return;
    this.#unindexWorkload(before);
    this.#workloadsByUid.delete(uid);
    this.#notify({ uid, before, after: undefined });
  }

  #unindexWorkload(workload: Workload): void {
    for (const ip of workload.addresses) {
      removeFrom(this.#workloadsByAddress, networkAddress(workload.network, ip), workload);
    }
    if (workload.hostname !== '') removeFrom(this.#workloadsByHostname, serviceKey(workload), workload);
    removeFrom(this.#workloadsByName, `${workload.namespace}/${workload.name}`, workload);
    for (const key of workload.services.keys()) {
      const endpoints = this.#endpointsByService.get(key);
      endpoints?.delete(workload.uid);
      if (endpoints?.size === 0) this.#endpointsByService.delete(key);
    }
  }

  #dropService(key: string): void {
    const service = this.#servicesByKey.get(key);
    if (service === undefined) return;
    this.#servicesByKey.delete(key);
    removeFrom(this.#servicesByHostname, service.hostname, service);
    for (const { network, ip } of service.vips)
      removeFrom(this.#servicesByVip, networkAddress(network, ip), service);
    this.#servicesWithCidr.delete(service);
  }

  #notify(change: WorkloadChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Pods before other kinds, HBONE before plain. */
function addressRank(workload: Workload): number {
  const isPod = workload.uid.includes('//Pod/');
  const isHbone = workload.protocol === 'HBONE';
  return (isPod ? 2 : 0) + (isHbone ? 1 : 0);
}

function contains(range: { ip: string; length: number }, ip: Uint8Array): boolean {
  const address = ipToBytes(range.ip);
  return address !== undefined && isInCidr({ address, length: range.length }, ip);
}

function addTo<T>(index: Map<string, Set<T>>, key: string, value: T): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<T>(index: Map<string, Set<T>>, key: string, value: T): void {
  const set = index.get(key);
  set?.delete(value);
  if (set?.size === 0) index.delete(key);
}

function first<T>(values: Iterable<T> | undefined): T | undefined {
  for (const value of values ?? []) return value;
  return undefined;
}
