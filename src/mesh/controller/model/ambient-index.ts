import { authorizationType, l7AuthorizationType } from '../../xds/type-urls.js';
import { AuthorizationSchema, type Authorization } from '../../xds/gen/istio/authorization_pb.js';
import {
  AuthorizationPolicySchema,
  type AuthorizationPolicy as L7Policy,
} from '../../xds/gen/meshctl/l7_pb.js';
import { encodeResource, type WireResource } from '../../xds/server/resource.js';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import type { Collection } from '../graph/collection.js';
import type { Graph, Keyed } from '../graph/graph.js';
import { convertToL4, type L4Conversion } from '../../rules/l4-authorization.js';
import { convertToL7 } from '../../rules/l7-authorization.js';
import { hasTargetRefs, resolveTargets, selectorOf, type TargetResult } from '../../rules/policy-targets.js';
import {
  convertPortLevel,
  peerAuthPolicyKeys,
  strictAuthorization,
} from '../../rules/peer-authentication.js';
import { InputView, type ClusterFacts, type ConvertedPolicy } from './input-view.js';
import { objectKey, type Inputs } from './inputs.js';
import { meshService, type MeshService } from './service.js';
import { waypointOf, type Waypoint } from '../../rules/waypoint.js';
import type { WaypointBinding } from '../../rules/waypoint-binding.js';
import { podWorkload, type MeshWorkload } from './workload.js';

/** An L4 policy on the wire. */
export interface L4Resource {
  readonly message: Authorization;
  readonly wire: WireResource;
}

/** An L7 policy as one Gateway's waypoint gets it. */
export interface L7Resource {
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
  readonly message: L7Policy;
  readonly wire: WireResource;
}

/** How an AuthorizationPolicy is enforced: exactly one of the two is set. */
export interface PolicyOutcome {
  readonly policy: AuthorizationPolicy;
  readonly l4: L4Conversion | undefined;
  readonly targets: readonly TargetResult[] | undefined;
}

/** Everything the mesh knows, derived from the inputs and kept current by the graph. */
export interface AmbientIndex {
  readonly waypoints: Collection<Waypoint>;
  /** By resource name, `namespace/hostname`. */
  readonly services: Collection<MeshService>;
  /** By uid. */
  readonly podWorkloads: Collection<MeshWorkload>;
  readonly endpointWorkloads: Collection<MeshWorkload>;
  /** By resource name, `namespace/name`; policies, then the two kinds made from PeerAuthentication. */
  readonly authorizations: readonly Collection<L4Resource>[];
  /** By `gateway|namespace/name`. */
  readonly l7Policies: Collection<L7Resource>;
  readonly policyOutcomes: Collection<PolicyOutcome>;
}

/** Wires the derivations. The order of the statements is the order of evaluation. */
export function createAmbientIndex(graph: Graph, inputs: Inputs, cluster: ClusterFacts): AmbientIndex {
  const view = new InputView(inputs, cluster);
  const waypoints = graph.derive({
    from: inputs.gateways,
    compute: (gateway, reader) => {
      const gatewayClass = inputs.gatewayClasses.get(gateway.spec.gatewayClassName, reader);
      return [{ key: objectKey(gateway), value: waypointOf(gateway, gatewayClass) }];
    },
  });
  const services = graph.derive({
    from: inputs.services,
    compute: (facts, reader) => {
      const namespace = inputs.namespaces.get(facts.namespace, reader);
      const service = meshService(facts, {
        ...cluster,
        binding: view.bindService(facts, waypoints, reader),
        ingressUsesWaypoint:
          (facts.labels[ingressUseWaypoint] ?? namespace?.labels[ingressUseWaypoint]) === 'true',
        namespaceTrafficDistribution: namespace?.trafficDistribution,
      });
      return [{ key: service.key, value: service }];
    },
    isEqual: (a, b) => a.wire.version === b.wire.version && bindingText(a.binding) === bindingText(b.binding),
  });
  const conversions = graph.derive<AuthorizationPolicy, ConvertedPolicy>({
    from: inputs.policies,
    compute: (policy, reader) =>
      hasTargetRefs(policy)
        ? []
        : [
            {
              key: objectKey(policy),
              value: { policy, l4: convertToL4(policy, view.mesh(reader)) },
            },
          ],
  });
  const selecting = conversions.index(({ policy, l4 }) =>
    l4.authorization !== undefined && selectorOf(policy) !== undefined
      ? [policy.metadata.namespace ?? '']
      : [],
  );
  const policyAuthorizations = graph.derive({
    from: conversions,
    compute: ({ l4 }) => (l4.authorization === undefined ? [] : [l4Resource(l4.authorization)]),
    isEqual: isSameWire,
  });
  const portLevel = graph.derive({
    from: inputs.peerAuths,
    compute: (policy, reader) => {
      const converted = convertPortLevel(policy, view.peerAuthScope(policy.namespace, reader));
      return converted === undefined ? [] : [l4Resource(converted)];
    },
    isEqual: isSameWire,
  });
  const strict = graph.derive({
    from: inputs.mesh,
    compute: ({ rootNamespace }, reader) =>
      inputs.peerAuths.list(reader).length === 0 ? [] : [l4Resource(strictAuthorization(rootNamespace))],
    isEqual: isSameWire,
  });
  const podWorkloads = graph.derive({
    from: inputs.pods,
    compute: (pod, reader) => {
      const workload = podWorkload(pod, {
        ...cluster,
        trustDomain: view.mesh(reader).trustDomain,
        services: view.servicesOf(pod, reader),
        node: inputs.nodes.get(pod.node, reader),
        binding: view.bindPod(pod, waypoints, reader),
        policies: [
          ...view.selectingPolicies(pod, selecting, reader),
          ...peerAuthPolicyKeys(pod, view.peerAuthScope(pod.namespace, reader)),
        ],
      });
      return [{ key: workload.uid, value: workload }];
    },
    isEqual: isSameWire,
  });
  const endpoints = graph.derive({
    from: inputs.slices,
    compute: (slice, reader) => view.endpointsOf(slice, reader).map((value) => ({ key: value.uid, value })),
    isEqual: isSameWire,
  });
  const targeted = graph.derive({
    from: inputs.policies,
    compute: (policy, reader) =>
      hasTargetRefs(policy)
        ? [
            {
              key: objectKey(policy),
              value: {
                policy,
                targets: resolveTargets(policy, view.targetLookup({ waypoints, services, reader })),
              },
            },
          ]
        : [],
  });
  const l7Policies = graph.derive({
    from: targeted,
    compute: ({ policy, targets }) => l7Resources(policy, targets),
    isEqual: isSameWire,
  });
  const policyOutcomes = graph.derive<AuthorizationPolicy, PolicyOutcome>({
    from: inputs.policies,
    compute: (policy, reader) => {
      const key = objectKey(policy);
      return [
        {
          key,
          value: {
            policy,
            l4: conversions.get(key, reader)?.l4,
            targets: targeted.get(key, reader)?.targets,
          },
        },
      ];
    },
  });
  return {
    waypoints,
    services,
    podWorkloads,
    endpointWorkloads: endpoints,
    authorizations: [policyAuthorizations, portLevel, strict],
    l7Policies,
    policyOutcomes,
  };
}

const ingressUseWaypoint = 'istio.io/ingress-use-waypoint';

function l4Resource(message: Authorization): Keyed<L4Resource> {
  const key = `${message.namespace}/${message.name}`;
  const wire = encodeResource({
    name: key,
    typeUrl: authorizationType,
    schema: AuthorizationSchema,
    message,
    isVersioned: false,
  });
  return { key, value: { message, wire } };
}

/** One resource for each Gateway; a Gateway that is itself a target gets the policy for all its traffic. */
function l7Resources(policy: AuthorizationPolicy, targets: readonly TargetResult[]): Keyed<L7Resource>[] {
  const key = objectKey(policy);
  const gateways = new Set(targets.flatMap((target) => target.gateways));
  return [...gateways].map((gateway) => {
    const here = targets.filter((target) => target.gateways.includes(gateway));
    const services = here.flatMap(({ service }) => (service === undefined ? [] : [service]));
    const message = convertToL7(policy, services.length < here.length ? [] : services);
    const wire = encodeResource({
      name: key,
      typeUrl: l7AuthorizationType,
      schema: AuthorizationPolicySchema,
      message,
      isVersioned: true,
    });
    return { key: `${gateway}|${key}`, value: { gateway, message, wire } };
  });
}

function isSameWire(a: { readonly wire: WireResource }, b: { readonly wire: WireResource }): boolean {
  return Buffer.compare(a.wire.bytes, b.wire.bytes) === 0;
}

function bindingText(binding: WaypointBinding): string {
  return binding.kind === 'none' ? 'none' : `${binding.kind} ${binding.waypoint} ${binding.problem ?? ''}`;
}
