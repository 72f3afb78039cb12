import { create } from '@bufbuild/protobuf';
import {
  Action,
  AuthorizationSchema,
  ClauseSchema,
  MatchSchema,
  RuleSchema,
  Scope,
  type Authorization,
  type Match,
  type Rule,
} from '../xds/gen/istio/authorization_pb.js';
import {
  modeAt,
  type PeerAuthFacts,
  type PeerAuthScope,
  workloadMtls,
  type WorkloadMtls,
} from './mtls-mode.js';
import { stringMatch } from './string-match.js';

/** Name of the policy, in the root namespace, that refuses peers without identity. */
export const strictPolicy = 'istio_converted_static_strict';
const convertedPrefix = 'converted_peer_authentication_';

/** Whether a policy of a node proxy is one that PeerAuthentications were converted to. */
export function isConvertedPeerAuth(policyName: string): boolean {
  return policyName === strictPolicy || policyName.startsWith(convertedPrefix);
}

/** Keys (`namespace/name`) of the converted policies that apply to a workload, in sending order. */
export function peerAuthPolicyKeys(
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  scope: PeerAuthScope,
): string[] {
  const { mode, own, exceptions } = workloadMtls(workload, scope);
  if (own !== undefined && exceptions.length > 0) return [`${own.namespace}/${convertedPrefix}${own.name}`];
  return mode === 'STRICT' ? [`${scope.rootNamespace}/${strictPolicy}`] : [];
}

/** The port-level policy as an authorization; undefined when it has no port of another mode than its own. */
export function convertPortLevel(policy: PeerAuthFacts, scope: PeerAuthScope): Authorization | undefined {
  if (policy.selector === undefined || policy.namespace === scope.rootNamespace) return undefined;
  const rules = portRules(modeAt(scope, policy));
  if (rules.length === 0) return undefined;
  return denial({ namespace: policy.namespace, name: `${convertedPrefix}${policy.name}`, rules });
}

/** The policy that refuses every peer without identity. */
export function strictAuthorization(rootNamespace: string): Authorization {
  const rule = create(RuleSchema, { clauses: [create(ClauseSchema, { matches: [unauthenticated()] })] });
  return denial({ namespace: rootNamespace, name: strictPolicy, rules: [rule] });
}

/**
 * Under strict, one rule: no identity, and none of the exempt ports. Under permissive, one rule for
 * each strict port: no identity, and that port.
 */
function portRules({ mode, exceptions }: WorkloadMtls): Rule[] {
  if (exceptions.length === 0) return [];
  if (mode === 'STRICT') {
    const exempt = exceptions.map((port) => create(MatchSchema, { notDestinationPorts: [port] }));
    const clauses = [unauthenticated(), ...exempt].map((match) => create(ClauseSchema, { matches: [match] }));
    return [create(RuleSchema, { clauses })];
  }
  return exceptions.map((port) => {
    const match = create(MatchSchema, { notPrincipals: [stringMatch('*')], destinationPorts: [port] });
    return create(RuleSchema, { clauses: [create(ClauseSchema, { matches: [match] })] });
  });
}

function unauthenticated(): Match {
  return create(MatchSchema, { notPrincipals: [stringMatch('*')] });
}

function denial(input: {
  readonly namespace: string;
  readonly name: string;
  readonly rules: Rule[];
}): Authorization {
  return create(AuthorizationSchema, { ...input, scope: Scope.WORKLOAD_SELECTOR, action: Action.DENY });
}
