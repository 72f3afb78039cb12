import type { PolicyOutcome } from './model/ambient-index.js';
import type { Collection } from './graph/collection.js';
import type { MeshState } from './model/mesh-state.js';
import type { MeshService } from './model/service.js';
import { meshKey, statusKey } from './model/inputs.js';
import type { PeerAuthFacts } from '../rules/mtls-mode.js';
import type { GatewayCollections } from './gateway/managed-gateways.js';
import { createRouteStatuses } from './gateway/route-statuses.js';
import { createGatewayClassStatuses } from './gateway/gateway-classes.js';
import { type DesiredStatus, type StatusChange, statusChange } from './status/desired-status.js';
import { peerAuthConditions, policyConditions } from './status/policy-conditions.js';
import { serviceConditions } from './status/service-conditions.js';
import { createUnhonoredStatuses } from './status/unhonored.js';

/**
 * Everything the controller has to say in the statuses of objects, less what they say already. It is derived from what
 * configuration is derived from, so the two cannot differ.
 */
export function createStatusChanges(
  { graph, index, inputs }: Pick<MeshState, 'graph' | 'index' | 'inputs'>,
  gateways: GatewayCollections,
): Collection<StatusChange> {
  const services = graph.derive<MeshService, DesiredStatus>({
    name: 'service-statuses',
    from: index.services,
    compute: (service) => {
      const { namespace, name } = service.facts;
      const value = { kind: 'services', namespace, name, conditions: serviceConditions(service) } as const;
      return [{ key: statusKey('services', `${namespace}/${name}`), value }];
    },
  });
  const policies = graph.derive<PolicyOutcome, DesiredStatus>({
    name: 'policy-statuses',
    from: index.policyOutcomes,
    compute: (outcome) => {
      const { namespace = '', name } = outcome.policy.metadata;
      const value = { kind: 'policies', namespace, name, conditions: policyConditions(outcome) } as const;
      return [{ key: statusKey('policies', `${namespace}/${name}`), value }];
    },
  });
  const peerAuthentications = graph.derive<PeerAuthFacts, DesiredStatus>({
    name: 'peer-authentication-statuses',
    from: inputs.peerAuths,
    compute: (policy, reader) => {
      const { namespace, name } = policy;
      const rootNamespace = inputs.mesh.get(meshKey, reader)?.rootNamespace ?? '';
      const conditions = peerAuthConditions(policy, rootNamespace);
      const value = { kind: 'peerAuths', namespace, name, conditions } as const;
      return [{ key: statusKey('peerAuths', `${namespace}/${name}`), value }];
    },
  });
  const desired = graph.join<DesiredStatus>(
    services,
    policies,
    peerAuthentications,
    gateways.statuses,
    createGatewayClassStatuses(graph, inputs.gatewayClasses),
    ...createRouteStatuses(graph, inputs, gateways.managed),
    ...createUnhonoredStatuses(graph, inputs),
  );
  return graph.derive<DesiredStatus, StatusChange>({
    name: 'status-changes',
    from: desired,
    follows: [inputs.liveStatuses],
    compute: (status, reader) => {
      const { kind, namespace, name } = status;
      const key = statusKey(kind, namespace === '' ? name : `${namespace}/${name}`);
      const live = inputs.liveStatuses.get(key, reader);
      const change = live === undefined ? undefined : statusChange(status, live);
      return change === undefined ? [] : [{ key, value: change }];
    },
  });
}
