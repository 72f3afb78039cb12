import { fromBinary } from '@bufbuild/protobuf';
import type { ResourceHandler, XdsResource } from '../../xds/client/delta-client.js';
import { AddressSchema } from '../../xds/gen/istio/workload_pb.js';
import { addressType } from '../../xds/type-urls.js';
import { readService, type Service } from './service.js';
import { readWorkload, type Workload } from './workload.js';

/**
 * Services and workloads as last told by the control plane, indexed the ways requests ask for them.
 * Updated incrementally; reads never see half of a resource.
 */
export class MeshView implements ResourceHandler {
  readonly typeUrl = addressType;
  readonly #byName = new Map<string, { service?: Service; workload?: Workload }>();
  /** `network/ip` -> services having it; normally one. */
  readonly #servicesByVip = new Map<string, Set<Service>>();
  readonly #workloadsByIp = new Map<string, Set<Workload>>();
  readonly #servicesByKey = new Map<string, Service>();
  /** Service key -> its workloads. */
  readonly #members = new Map<string, Set<Workload>>();

  upsert({ name, value }: XdsResource): void {
    const { type } = fromBinary(AddressSchema, value);
    if (type.case === 'service') {
      const service = readService(type.value);
      this.remove(name);
      this.#byName.set(name, { service });
      this.#servicesByKey.set(service.key, service);
      for (const { network, ip } of service.vips) add(this.#servicesByVip, `${network}/${ip}`, service);
    } else if (type.case === 'workload') {
      const workload = readWorkload(type.value);
      this.remove(name);
      this.#byName.set(name, { workload });
      for (const ip of workload.ips) add(this.#workloadsByIp, `${workload.network}/${ip}`, workload);
      for (const key of workload.services.keys()) add(this.#members, key, workload);
    } else {
      throw new Error('address that is neither workload nor service');
    }
  }

  remove(name: string): void {
    const { service, workload } = this.#byName.get(name) ?? {};
    this.#byName.delete(name);
    if (service !== undefined) {
      if (this.#servicesByKey.get(service.key) === service) this.#servicesByKey.delete(service.key);
      for (const { network, ip } of service.vips) drop(this.#servicesByVip, `${network}/${ip}`, service);
    }
    if (workload !== undefined) {
      for (const ip of workload.ips) drop(this.#workloadsByIp, `${workload.network}/${ip}`, workload);
      for (const key of workload.services.keys()) drop(this.#members, key, workload);
    }
  }

  /** The service owning a virtual IP. */
  serviceByVip(network: string, ip: string): Service | undefined {
    return first(this.#servicesByVip.get(`${network}/${ip}`));
  }

  /** The service `namespace/hostname`. */
  serviceByKey(key: string): Service | undefined {
    return this.#servicesByKey.get(key);
  }

  /** The workload with an address; a host-network address shared by several names none of them. */
  workloadByIp(network: string, ip: string): Workload | undefined {
    const found = this.#workloadsByIp.get(`${network}/${ip}`);
    return found?.size === 1 ? first(found) : undefined;
  }

  /** Workloads backing a service, healthy or not. */
  workloadsOf(service: Service): Iterable<Workload> {
    return this.#members.get(service.key) ?? [];
  }

  /** Every service, sorted by key. */
  services(): Service[] {
    return [...this.#servicesByKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function add<T>(index: Map<string, Set<T>>, key: string, value: T): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function drop<T>(index: Map<string, Set<T>>, key: string, value: T): void {
  const set = index.get(key);
  set?.delete(value);
  if (set?.size === 0) index.delete(key);
}

function first<T>(set: ReadonlySet<T> | undefined): T | undefined {
  for (const value of set ?? []) return value;
  return undefined;
}
