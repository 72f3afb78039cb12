import { authorizationType, l7AuthorizationType } from '../../xds/type-urls.js';
import { AuthorizationSchema, type Authorization } from '../../xds/gen/istio/authorization_pb.js';
import {
  AuthorizationPolicySchema,
  type AuthorizationPolicy as L7Policy,
} from '../../xds/gen/meshctl/l7_pb.js';
import { encodeResource, isSameWire, type WireResource } from '../../xds/server/resource.js';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import type { Collection, Index } from '../graph/collection.js';
import type { Graph, Keyed } from '../graph/graph.js';
import { convertToL4, type L4Conversion } from '../../rules/l4-authorization.js';
import { convertToL7 } from '../../rules/l7-authorization.js';
import { hasTargetRefs, resolveTargets, type TargetResult } from '../../rules/policy-targets.js';
import { convertPortLevel, strictAuthorization } from '../../rules/peer-authentication.js';
import { InputView, type MeshCluster, type ConvertedPolicy } from './input-view.js';
import { objectKey, type Inputs } from './inputs.js';
import { meshService, type MeshService } from './service.js';
import { waypointOf, type Waypoint } from '../../rules/waypoint.js';
import type { WaypointBinding } from '../../rules/waypoint-binding.js';
import type { MeshWorkload } from './workload.js';
import { createWorkloads } from './workload-sources.js';

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
  /** By uid; of whatever kind their sources are. */
  readonly workloads: Collection<MeshWorkload>;
  /** By key of a service they are endpoints of. */
  readonly workloadsByService: Index<MeshWorkload>;
  /** By resource name, `namespace/name`. */
  readonly authorizations: Collection<L4Resource>;
  /** By `gateway|namespace/name`. */
  readonly l7Policies: Collection<L7Resource>;
  readonly policyOutcomes: Collection<PolicyOutcome>;
}

/** Wires the derivations. The order of the statements is the order of evaluation. */
export function createAmbientIndex(graph: Graph, inputs: Inputs, cluster: MeshCluster): AmbientIndex {
  const waypoints = graph.derive({
    name: 'waypoints',
    from: inputs.gateways,
    compute: (gateway, reader) => {
      const gatewayClass = inputs.gatewayClasses.get(gateway.spec.gatewayClassName, reader);
      return [{ key: objectKey(gateway), value: waypointOf(gateway, gatewayClass) }];
    },
  });
  const view = new InputView({ inputs, cluster, waypoints });
  const serviceDefaults = graph.derive({
    name: 'service-defaults',
    from: inputs.namespaces,
    compute: ({ name }, reader) => [{ key: name, value: view.serviceDefaults(name, reader) }],
  });
  const services = graph.derive({
    name: 'services',
    from: inputs.services,
    compute: (facts, reader) => {
      const defaults =
        serviceDefaults.get(facts.namespace, reader) ?? view.serviceDefaults(facts.namespace, reader);
      const service = meshService(facts, {
        ...cluster,
        binding: view.bindService(facts, defaults.binding, reader),
        ingressUsesWaypoint: view.ingressUsesWaypoint(facts, defaults.ingressUsesWaypoint),
        namespaceTrafficDistribution: defaults.trafficDistribution,
      });
      return [{ key: service.key, value: service }];
    },
    isEqual: (a, b) => a.wire.version === b.wire.version && bindingText(a.binding) === bindingText(b.binding),
  });
  const conversions = graph.derive<AuthorizationPolicy, ConvertedPolicy>({
    name: 'l4-conversions',
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
  const policyAuthorizations = graph.derive({
    name: 'l4-policies',
    from: conversions,
    compute: ({ l4 }) => (l4.authorization === undefined ? [] : [l4Resource(l4.authorization)]),
    isEqual: isSameWire,
  });
  const portLevel = graph.derive({
    name: 'port-level-policies',
    from: inputs.peerAuths,
    compute: (policy, reader) => {
      const converted = convertPortLevel(policy, view.peerAuthScope(policy.namespace, reader));
      return converted === undefined ? [] : [l4Resource(converted)];
    },
    isEqual: isSameWire,
  });
  const strict = graph.derive({
    name: 'strict-policy',
    from: inputs.mesh,
    compute: ({ rootNamespace }, reader) =>
      inputs.peerAuths.list(reader).length === 0 ? [] : [l4Resource(strictAuthorization(rootNamespace))],
    isEqual: isSameWire,
  });
  const targeted = graph.derive({
    name: 'policy-targets',
    from: inputs.policies,
    compute: (policy, reader) =>
      hasTargetRefs(policy)
        ? [
            {
              key: objectKey(policy),
              value: { policy, targets: resolveTargets(policy, view.targetLookup(services, reader)) },
            },
          ]
        : [],
  });
  const l7Policies = graph.derive({
    name: 'l7-policies',
    from: targeted,
    compute: ({ policy, targets }) => l7Resources(policy, targets),
    isEqual: isSameWire,
  });
  const policyOutcomes = graph.derive<AuthorizationPolicy, PolicyOutcome>({
    name: 'policy-outcomes',
    from: inputs.policies,
    compute: (policy, reader) => {
      const key = objectKey(policy);
      const [l4, targets] = [conversions.get(key, reader)?.l4, targeted.get(key, reader)?.targets];
      return [{ key, value: { policy, l4, targets } }];
    },
  });
  const workloads = createWorkloads({ graph, inputs, cluster, view, conversions });
  return {
    waypoints,
    services,
    workloads,
    workloadsByService: workloads.index((workload) => workload.services),
    authorizations: graph.join(policyAuthorizations, portLevel, strict),
    l7Policies,
    policyOutcomes,
  };
}

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

function bindingText(binding: WaypointBinding): string {
  return binding.kind === 'none' ? 'none' : `${binding.kind} ${binding.waypoint} ${binding.problem ?? ''}`;
}
