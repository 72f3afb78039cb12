import type { PolicyOutcome } from './model/ambient-index.js';
import type { Collection } from './graph/collection.js';
import type { MeshState } from './model/mesh-state.js';
import type { MeshService } from './model/service.js';
import { statusKey } from './model/inputs.js';
import { createGatewayClassStatuses } from './gateway/gateway-classes.js';
import { type DesiredStatus, type StatusChange, statusChange } from './status/desired-status.js';
import { policyConditions } from './status/policy-conditions.js';
import { serviceConditions } from './status/service-conditions.js';

/**
 * Everything the controller has to say in the statuses of objects, less what they say already. It is derived from what
 * configuration is derived from, so the two cannot differ.
 */
export function createStatusChanges(
  { graph, index, inputs }: Pick<MeshState, 'graph' | 'index' | 'inputs'>,
  gatewayStatuses: Collection<DesiredStatus>,
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
  const desired = graph.join<DesiredStatus>(
    services,
    policies,
    gatewayStatuses,
    createGatewayClassStatuses(graph, inputs.gatewayClasses),
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
