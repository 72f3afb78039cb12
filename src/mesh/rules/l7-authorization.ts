import { create } from '@bufbuild/protobuf';
import type { AuthorizationPolicy, AuthorizationRule } from '#base/kube/types.js';
import {
  AuthorizationPolicy_Action,
  AuthorizationPolicy_ConditionSchema,
  AuthorizationPolicy_OperationSchema,
  AuthorizationPolicy_RuleSchema,
  AuthorizationPolicy_SourceSchema,
  AuthorizationPolicy_TargetSchema,
  AuthorizationPolicySchema,
  type AuthorizationPolicy as L7Policy,
  type AuthorizationPolicy_Rule,
} from '../xds/gen/meshctl/l7_pb.js';
import { unhonoredIn } from './support/assess.js';
import { authorizationPolicyFields } from './support/istio-kinds.js';
import type { SupportJson } from './support/support.js';
import { isDryRun } from './l4-authorization.js';

/** The policy as one waypoint gets it. `services` empty: all its traffic. */
export function convertToL7(
  policy: AuthorizationPolicy,
  services: readonly { readonly namespace: string; readonly hostname: string }[],
): L7Policy {
  const action = policy.spec?.action ?? 'ALLOW';
  return create(AuthorizationPolicySchema, {
    name: policy.metadata.name,
    namespace: policy.metadata.namespace ?? '',
    action: actions[action] ?? AuthorizationPolicy_Action.DENY,
    dryRun: isDryRun(policy),
    targets: services.map((service) => create(AuthorizationPolicy_TargetSchema, service)),
    rules: (policy.spec?.rules ?? []).map(convertRule),
    unsupported: unsupportedReason(policy) !== undefined,
  });
}

/** Why a waypoint cannot evaluate the policy as written; undefined when it can. */
export function unsupportedReason(policy: AuthorizationPolicy): string | undefined {
  const action = policy.spec?.action ?? 'ALLOW';
  if (actions[action] === undefined) return `action ${action} is unknown`;
  if (action === 'CUSTOM')
    return 'action CUSTOM needs an external authorizer, which waypoints do not call yet';
  // A condition that is left out would let a rule match more than it was written for.
  const [first] = unhonoredIn(authorizationPolicyFields, {
    rules: (policy.spec?.rules ?? []) as unknown as SupportJson,
  });
  return first === undefined ? undefined : `${first.path}: ${first.why}`;
}

const actions: Readonly<Record<string, AuthorizationPolicy_Action>> = {
  ALLOW: AuthorizationPolicy_Action.ALLOW,
  DENY: AuthorizationPolicy_Action.DENY,
  AUDIT: AuthorizationPolicy_Action.AUDIT,
  CUSTOM: AuthorizationPolicy_Action.CUSTOM,
};

function convertRule(rule: AuthorizationRule): AuthorizationPolicy_Rule {
  return create(AuthorizationPolicy_RuleSchema, {
    from: (rule.from ?? []).map(({ source }) => create(AuthorizationPolicy_SourceSchema, { ...source })),
    to: (rule.to ?? []).map(({ operation }) => create(AuthorizationPolicy_OperationSchema, { ...operation })),
    when: (rule.when ?? []).map((condition) => create(AuthorizationPolicy_ConditionSchema, { ...condition })),
  });
}
