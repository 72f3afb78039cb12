import { addressType, authorizationType, l7AuthorizationType } from '../../xds/type-urls.js';
import type { WireResource } from '../../xds/server/resource.js';
import {
  type ChangedNames,
  oneOrNone,
  type ResourceSource,
  type Subscriber,
} from '../../xds/server/source.js';
import type { Collection, Index } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import type { AmbientIndex, L4Resource, L7Resource } from './ambient-index.js';
import type { MeshService } from './service.js';
import type { MeshWorkload } from './workload.js';

/** Services and workloads, for every proxy alike. */
class AddressSource implements ResourceSource {
  readonly typeUrl = addressType;
  readonly tracksNames = false;
  readonly removesLast = false;
  readonly allowsOnDemand = true;
  readonly #services: Collection<MeshService>;
  readonly #workloads: Collection<MeshWorkload>;
  readonly #servicesByAddress: Index<MeshService>;
  readonly #workloadsByAddress: Index<MeshWorkload>;
  readonly #workloadsByService: Index<MeshWorkload>;

  constructor(index: AmbientIndex) {
    this.#services = index.services;
    this.#workloads = index.workloads;
    this.#servicesByAddress = index.services.index(({ wire }) => wire.aliases);
    this.#workloadsByAddress = index.workloads.index(({ wire }) => wire.aliases);
    this.#workloadsByService = index.workloadsByService;
  }

  *all(): Iterable<WireResource> {
    for (const [, { wire }] of this.#services.entries()) yield wire;
    for (const [, { wire }] of this.#workloads.entries()) yield wire;
  }

  find(name: string): WireResource | undefined {
    return (this.#workloads.get(name) ?? this.#services.get(name))?.wire;
  }

  /** A workload by uid or address, else a service by name or address together with its workloads. */
  lookup(name: string): readonly WireResource[] {
    const workload = this.#workloads.get(name);
    if (workload !== undefined) return [workload.wire];
    const byAddress = this.#workloadsByAddress.get(name);
    if (byAddress.length > 0) return byAddress.map(({ wire }) => wire);
    const named = this.#services.get(name);
    const services = named === undefined ? this.#servicesByAddress.get(name) : [named];
    return services.flatMap((service) => [
      service.wire,
      ...this.#workloadsByService.get(service.key).map(({ wire }) => wire),
    ]);
  }
}

/** L4 policies, for every proxy alike. */
class AuthorizationSource implements ResourceSource {
  readonly typeUrl = authorizationType;
  readonly tracksNames = true;
  readonly removesLast = true;
  readonly allowsOnDemand = false;
  readonly #policies: Collection<L4Resource>;

  constructor(index: AmbientIndex) {
    this.#policies = index.authorizations;
  }

  *all(): Iterable<WireResource> {
    for (const { wire } of this.#policies.list()) yield wire;
  }

  find(name: string): WireResource | undefined {
    return this.#policies.get(name)?.wire;
  }

  lookup(name: string): readonly WireResource[] {
    return oneOrNone(this.find(name));
  }
}

/** L7 policies: each waypoint gets those of its own Gateway. */
class L7AuthorizationSource implements ResourceSource {
  readonly typeUrl = l7AuthorizationType;
  readonly tracksNames = true;
  readonly removesLast = true;
  readonly allowsOnDemand = false;
  readonly #policies: Collection<L7Resource>;
  readonly #byGateway: Index<L7Resource>;

  constructor(index: AmbientIndex) {
    this.#policies = index.l7Policies;
    this.#byGateway = index.l7Policies.index(({ gateway }) => [gateway]);
  }

  *all(subscriber: Subscriber | undefined): Iterable<WireResource> {
    if (subscriber === undefined) return;
    for (const { wire } of this.#byGateway.get(gatewayOf(subscriber))) yield wire;
  }

  lookup(name: string, subscriber: Subscriber): readonly WireResource[] {
    return oneOrNone(this.#policies.get(`${gatewayOf(subscriber)}|${name}`)?.wire);
  }
}

/** `namespace/name` of the Gateway a waypoint belongs to. */
function gatewayOf({ metadata }: Subscriber): string {
  return `${metadata['GATEWAY_NAMESPACE'] ?? ''}/${metadata['GATEWAY_NAME'] ?? ''}`;
}

/**
 * The types served, in push order: policies before the workloads that name them.
 */
export function createSources(index: AmbientIndex): readonly ResourceSource[] {
  return [new AuthorizationSource(index), new L7AuthorizationSource(index), new AddressSource(index)];
}

/** Collects the names every flush changes and hands them over with `take`. */
export class ChangeCollector {
  readonly #index: AmbientIndex;
  #changed = new Map<string, Set<string>>();
  /** Services that came to take other endpoints than before. */
  #takers = new Set<string>();

  constructor(graph: Graph, index: AmbientIndex) {
    this.#index = index;
    // A proxy keeps or drops unhealthy endpoints by the service's health policy when it receives them, so a change of
    // that brings the endpoints along.
    index.services.onChange((key, old, value) => {
      if (old !== undefined && old.facts.publishesUnready !== value?.facts.publishesUnready)
        this.#takers.add(key);
    });
    const record = (typeUrl: string) => (keys: ReadonlySet<string>) => {
      const names = this.#changed.get(typeUrl) ?? new Set<string>();
      for (const key of keys) names.add(key);
      this.#changed.set(typeUrl, names);
    };
    graph.onFlush(index.services, record(addressType));
    graph.onFlush(index.workloads, record(addressType));
    graph.onFlush(index.authorizations, record(authorizationType));
    const recordL7 = record(l7AuthorizationType);
    graph.onFlush(index.l7Policies, (keys) => {
      recordL7(new Set([...keys].map((key) => key.slice(key.indexOf('|') + 1))));
    });
  }

  /** What changed since the last call. */
  take(): ChangedNames {
    const changed = this.#changed;
    for (const service of this.#takers) {
      const names = changed.get(addressType);
      for (const { uid } of this.#index.workloadsByService.get(service)) names?.add(uid);
    }
    this.#takers = new Set();
    this.#changed = new Map();
    return changed;
  }
}
