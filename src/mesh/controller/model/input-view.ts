import * as labels from '#base/kube/labels.js';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import type { Collection, Index, Reader } from '../graph/collection.js';
import type { L4Conversion } from '../../rules/l4-authorization.js';
import { selectorOf, selectsLabels, type TargetLookup } from '../../rules/policy-targets.js';
import type { PeerAuthFacts, PeerAuthScope } from '../../rules/mtls-mode.js';
import type { PodFacts, ServiceFacts, SliceFacts } from '../../rules/facts.js';
import { meshKey, objectKey, type Inputs } from './inputs.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import { serviceKey, type MeshService } from './service.js';
import { endpointWorkloads, type MeshWorkload } from './workload.js';
import { waypointKey, type Waypoint } from '../../rules/waypoint.js';
import { bindWaypoint, type WaypointBinding } from '../../rules/waypoint-binding.js';

/** Facts about this cluster that do not change while the controller runs. */
export interface ClusterFacts {
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

/** Values of the managed-by label on objects of a waypoint. */
const managedWaypoints: ReadonlySet<string> = new Set([
  'istio.io-mesh-controller',
  'istio.io-eastwest-controller',
]);

/** Reads the inputs on behalf of a computation. */
export class InputView {
  readonly #inputs: Inputs;
  readonly #cluster: ClusterFacts;
  readonly #selectorServices: Index<ServiceFacts>;
  readonly #podsByIp: Index<PodFacts>;
  readonly #peerAuths: Index<PeerAuthFacts>;

  constructor(inputs: Inputs, cluster: ClusterFacts) {
    this.#inputs = inputs;
    this.#cluster = cluster;
    this.#selectorServices = inputs.services.index((s) => (s.selector === undefined ? [] : [s.namespace]));
    this.#podsByIp = inputs.pods.index((pod) => (pod.isHostNetwork ? [] : pod.ips));
    this.#peerAuths = inputs.peerAuths.index(({ namespace }) => [namespace]);
  }

  mesh(reader: Reader): MeshConfig {
    const mesh = this.#inputs.mesh.get(meshKey, reader);
    if (mesh === undefined) throw new Error('the mesh options are set when the inputs are made');
    return mesh;
  }

  peerAuthScope(namespace: string, reader: Reader): PeerAuthScope {
    const { rootNamespace } = this.mesh(reader);
    return {
      rootNamespace,
      root: this.#peerAuths.get(rootNamespace, reader),
      own: namespace === rootNamespace ? [] : this.#peerAuths.get(namespace, reader),
    };
  }

  /** Services that select a pod. */
  servicesOf(pod: PodFacts, reader: Reader): ServiceFacts[] {
    return this.#selectorServices
      .get(pod.namespace, reader)
      .filter((service) => selectsLabels(service.selector, pod.labels));
  }

  /** The endpoints a slice adds to what the selector of its Service says. */
  endpointsOf(slice: SliceFacts, reader: Reader): MeshWorkload[] {
    const service = this.#inputs.services.get(`${slice.namespace}/${slice.service}`, reader);
    if (service === undefined || (service.selector !== undefined && slice.isOfSelector)) return [];
    return endpointWorkloads(slice, {
      ...this.#cluster,
      trustDomain: this.mesh(reader).trustDomain,
      service,
      podAt: (ip) => this.#podsByIp.get(ip, reader)[0],
      nodeOf: (pod) => this.#inputs.nodes.get(pod.node, reader),
      isSelected: (pod) => pod.namespace === service.namespace && selectsLabels(service.selector, pod.labels),
    });
  }

  bindService(service: ServiceFacts, waypoints: Collection<Waypoint>, reader: Reader): WaypointBinding {
    if (managedWaypoints.has(service.labels[labels.gatewayManaged] ?? '')) return { kind: 'none' };
    return this.#bind({ of: service, traffic: 'service', waypoints, reader });
  }

  bindPod(pod: PodFacts, waypoints: Collection<Waypoint>, reader: Reader): WaypointBinding {
    const gateway = pod.labels[labels.gatewayName];
    // A waypoint's own pods are never behind a waypoint.
    if (managedWaypoints.has(pod.labels[labels.gatewayManaged] ?? '')) return { kind: 'none' };
    if (gateway !== undefined && waypoints.get(waypointKey(pod.namespace, gateway), reader) !== undefined) {
      return { kind: 'none' };
    }
    return this.#bind({ of: pod, traffic: 'workload', waypoints, reader });
  }

  selectingPolicies(pod: PodFacts, selecting: Index<ConvertedPolicy>, reader: Reader): string[] {
    const { rootNamespace } = this.mesh(reader);
    const namespaces = new Set([pod.namespace, rootNamespace]);
    return [...namespaces]
      .flatMap((namespace) => selecting.get(namespace, reader))
      .filter(({ policy }) => selectsLabels(selectorOf(policy), pod.labels))
      .map(({ policy }) => objectKey(policy))
      .sort();
  }

  targetLookup(of: {
    readonly waypoints: Collection<Waypoint>;
    readonly services: Collection<MeshService>;
    readonly reader: Reader;
  }): TargetLookup {
    const { waypoints, services, reader } = of;
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
        waypoints
          .list(reader)
          .filter(({ className }) => className === name)
          .map((waypoint) => waypointKey(waypoint.namespace, waypoint.name)),
    };
  }

  #bind(input: {
    readonly of: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
    readonly traffic: 'service' | 'workload';
    readonly waypoints: Collection<Waypoint>;
    readonly reader: Reader;
  }): WaypointBinding {
    const { of, traffic, waypoints, reader } = input;
    return bindWaypoint({
      namespace: of.namespace,
      labels: of.labels,
      namespaceLabels: this.#inputs.namespaces.get(of.namespace, reader)?.labels ?? {},
      traffic,
      getWaypoint: (key) => waypoints.get(key, reader),
      failurePolicy: this.mesh(reader).waypointFailurePolicy,
      ...this.#cluster,
    });
  }
}
