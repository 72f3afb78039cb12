import type { AuthorizationPolicy } from '#base/kube/types.js';
import type { Collection, Index } from '../graph/collection.js';
import type { Reader } from '../graph/readers.js';
import type { NodeFacts, PodFacts, ServiceFacts } from '../../rules/facts.js';
import type { L4Conversion } from '../../rules/l4-authorization.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import { modeAt, type PeerAuthFacts, type PeerAuthScope } from '../../rules/mtls-mode.js';
import type { TargetLookup } from '../../rules/policy-targets.js';
import { waypointKey, type Waypoint } from '../../rules/waypoint.js';
import {
  bindWaypoint,
  isPartOfWaypoint,
  namesWaypoint,
  type WaypointBinding,
} from '../../rules/waypoint-binding.js';
import { meshKey, type Inputs } from './inputs.js';
import { serviceKey } from '../../rules/service-name.js';
import type { AccountFacts } from './object-facts.js';
import type { MeshService } from './service.js';

/** Facts about this cluster that do not change while the controller runs. */
export interface MeshCluster {
  /** Id that workload names start with; node proxies are configured with the same. */
  readonly clusterId: string;
  /** Domain of cluster DNS. */
  readonly clusterDomain: string;
  /** Name of the network all pods share; empty for the default network. */
  readonly network: string;
}

/** A selector or namespace policy with its L4 form. */
export interface ConvertedPolicy {
  readonly policy: AuthorizationPolicy;
  readonly l4: L4Conversion;
}

/**
 * What a namespace decides for the Services in it, worked out once for all of them: they are recomputed when it comes
 * out differently, not whenever something it is made of changes.
 */
export interface ServiceDefaults {
  /** For Services that name no waypoint themselves. */
  readonly binding: WaypointBinding;
  readonly ingressUsesWaypoint: boolean;
  readonly trafficDistribution: string | undefined;
}

/** What a namespace decides for the pods in it, worked out once for all of them. */
export interface PodDefaults {
  readonly trustDomain: string;
  readonly rootNamespace: string;
  /** The policy that makes mTLS strict for pods that no selector policy singles out. */
  readonly strictBy: PeerAuthFacts | undefined;
  /** For pods that neither name a waypoint themselves nor by their account. */
  readonly binding: WaypointBinding;
}

/** An object whose waypoint is asked for. */
interface BindingQuestion {
  readonly of: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  readonly accountLabels?: Readonly<Record<string, string>>;
  readonly traffic: 'service' | 'workload';
  readonly reader: Reader;
}

/** Lets ingress gateways route through the waypoint: label of Services and namespaces. */
const ingressUseWaypoint = 'istio.io/ingress-use-waypoint';

/** Reads the inputs on behalf of a computation. */
export class InputView {
  readonly #inputs: Inputs;
  readonly #cluster: MeshCluster;
  readonly #waypoints: Collection<Waypoint>;
  readonly #waypointsByClass: Index<Waypoint>;
  readonly #peerAuths: Index<PeerAuthFacts>;

  constructor(o: {
    readonly inputs: Inputs;
    readonly cluster: MeshCluster;
    readonly waypoints: Collection<Waypoint>;
  }) {
    this.#inputs = o.inputs;
    this.#cluster = o.cluster;
    this.#waypoints = o.waypoints;
    this.#waypointsByClass = o.waypoints.index(({ className }) => [className]);
    this.#peerAuths = o.inputs.peerAuths.index(({ namespace }) => [namespace]);
  }

  mesh(reader: Reader): MeshConfig {
    const mesh = this.#inputs.mesh.get(meshKey, reader);
    if (mesh === undefined) throw new Error('the mesh options are set when the inputs are made');
    return mesh;
  }

  node(name: string, reader: Reader): NodeFacts | undefined {
    return this.#inputs.nodes.get(name, reader);
  }

  peerAuthScope(namespace: string, reader: Reader): PeerAuthScope {
    const { rootNamespace } = this.mesh(reader);
    return {
      rootNamespace,
      root: this.#peerAuths.get(rootNamespace, reader),
      own: namespace === rootNamespace ? [] : this.#peerAuths.get(namespace, reader),
    };
  }

  serviceDefaults(namespace: string, reader: Reader): ServiceDefaults {
    const facts = this.#inputs.namespaces.get(namespace, reader);
    return {
      binding: this.#bind({ of: { namespace, labels: {} }, traffic: 'service', reader }),
      ingressUsesWaypoint: facts?.labels[ingressUseWaypoint] === 'true',
      trafficDistribution: facts?.trafficDistribution,
    };
  }

  podDefaults(namespace: string, reader: Reader): PodDefaults {
    const { trustDomain, rootNamespace } = this.mesh(reader);
    const { mode, decidedBy } = modeAt(this.peerAuthScope(namespace, reader), undefined);
    return {
      trustDomain,
      rootNamespace,
      strictBy: mode === 'STRICT' ? decidedBy : undefined,
      binding: this.#bind({ of: { namespace, labels: {} }, traffic: 'workload', reader }),
    };
  }

  bindService(service: ServiceFacts, inherited: WaypointBinding, reader: Reader): WaypointBinding {
    return this.#bindOr(inherited, { of: service, traffic: 'service', reader });
  }

  ingressUsesWaypoint(service: ServiceFacts, inherited: boolean): boolean {
    const own = service.labels[ingressUseWaypoint];
    return own === undefined ? inherited : own === 'true';
  }

  bindPod(pod: PodFacts, inherited: WaypointBinding, reader: Reader): WaypointBinding {
    return this.#bindOr(inherited, { of: pod, traffic: 'workload', reader });
  }

  /** What pods that run as an account and name no waypoint themselves are bound to. */
  bindAccount(account: AccountFacts, reader: Reader): WaypointBinding {
    const of = { namespace: account.namespace, labels: {} };
    return this.#bind({ of, accountLabels: account.labels, traffic: 'workload', reader });
  }

  targetLookup(services: Collection<MeshService>, reader: Reader): TargetLookup {
    const waypoints = this.#waypoints;
    const isReady = (key: string) => (waypoints.get(key, reader)?.addresses.length ?? 0) > 0;
    return {
      rootNamespace: this.mesh(reader).rootNamespace,
      clusterDomain: this.#cluster.clusterDomain,
      gateway: (key) => (waypoints.get(key, reader) === undefined ? undefined : { isReady: isReady(key) }),
      serviceWaypoint: (namespace, name) => {
        const service = services.get(serviceKey(namespace, name, this.#cluster.clusterDomain), reader);
        if (service === undefined) return undefined;
        const { binding } = service;
        return binding.kind === 'bound'
          ? { gateway: binding.waypoint, isReady: isReady(binding.waypoint) }
          : null;
      },
      gatewayClass: (name) => this.#inputs.gatewayClasses.get(name, reader)?.spec,
      gatewaysOfClass: (name) =>
        this.#waypointsByClass
          .get(name, reader)
          .map((waypoint) => waypointKey(waypoint.namespace, waypoint.name))
          .sort(),
    };
  }

  /** What an object without a name of its own inherits was worked out for its namespace. */
  #bindOr(inherited: WaypointBinding, input: BindingQuestion): WaypointBinding {
    const { of, traffic, reader } = input;
    const isWaypoint = (key: string) => this.#waypoints.get(key, reader) !== undefined;
    if (isPartOfWaypoint(of, traffic, isWaypoint)) return { kind: 'none' };
    return namesWaypoint(of.labels) ? this.#bind(input) : inherited;
  }

  #bind(input: BindingQuestion): WaypointBinding {
    const { of, accountLabels = {}, traffic, reader } = input;
    return bindWaypoint({
      namespace: of.namespace,
      labels: of.labels,
      accountLabels,
      namespaceLabels: this.#inputs.namespaces.get(of.namespace, reader)?.labels ?? {},
      traffic,
      getWaypoint: (key) => this.#waypoints.get(key, reader),
      failurePolicy: this.mesh(reader).waypointFailurePolicy,
      ...this.#cluster,
    });
  }
}
