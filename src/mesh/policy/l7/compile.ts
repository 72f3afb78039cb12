import {
  type AuthorizationPolicy,
  AuthorizationPolicy_Action as Action,
  type AuthorizationPolicy_Condition,
  type AuthorizationPolicy_Operation,
  type AuthorizationPolicy_Rule,
  type AuthorizationPolicy_Source,
} from '../../xds/gen/meshctl/l7_pb.js';
import type { MeshNames } from '../../rules/trust-domain.js';
import type { L7Attributes } from './attributes.js';
import {
  type L7Condition,
  type ConditionSpec,
  compileCondition,
  conditionField,
  operationFields,
  sourceFields,
  type Truth,
} from './condition.js';

/** What a matching rule does. */
export type PolicyAction = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

/** All conditions of one `source` or `operation`: each must hold. */
export type ConditionGroup = readonly L7Condition[];

/** One rule: any `from` group, any `to` group and every `when` condition. */
export interface CompiledRule {
  /** Position in the policy, as in `rule[<index>]`. */
  readonly index: number;
  /** Empty: any source. */
  readonly from: readonly ConditionGroup[];
  /** Empty: any operation. */
  readonly to: readonly ConditionGroup[];
  readonly when: ConditionGroup;
  readonly needsHttp: boolean;
}

/** A service by the names policies and the workload API use. */
export interface ServiceName {
  readonly namespace: string;
  readonly hostname: string;
}

/** An AuthorizationPolicy ready to evaluate. */
export interface CompiledPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: PolicyAction;
  readonly isDryRun: boolean;
  /** Something in it cannot be enforced here: ALLOW then never matches, the others always do. */
  readonly isUnsupported: boolean;
  /** Empty: everything behind the enforcement point. */
  readonly targets: readonly ServiceName[];
  readonly rules: readonly CompiledRule[];
}

/** Compiles a policy as the controller sends it. Never throws: what is malformed fails closed. */
export function compileL7Policy(policy: AuthorizationPolicy, names: MeshNames): CompiledPolicy {
  const action = actionOf(policy.action);
  return {
    namespace: policy.namespace,
    name: policy.name,
    // An action from a newer controller can only be honored by refusing.
    action: action ?? 'DENY',
    isDryRun: policy.dryRun,
    isUnsupported: policy.unsupported || action === undefined,
    targets: policy.targets.map(({ namespace, hostname }) => ({ namespace, hostname })),
    rules: policy.rules.map((rule, index) => compileRule(rule, index, names, policy.namespace)),
  };
}

/** The policies that apply to a service, or to workload traffic (undefined): waypoint-wide ones always. */
export function policiesFor(
  policies: readonly CompiledPolicy[],
  service: ServiceName | undefined,
): readonly CompiledPolicy[] {
  return policies.filter(
    ({ targets }) =>
      targets.length === 0 ||
      (service !== undefined &&
        targets.some((t) => t.namespace === service.namespace && t.hostname === service.hostname)),
  );
}

/** Whether a rule holds; `unknown` when that hangs on something that cannot be evaluated. */
export function evaluateRule(rule: CompiledRule, attributes: L7Attributes): Truth {
  return all([
    rule.from.length === 0 ? 'yes' : any(rule.from.map((group) => evaluateGroup(group, attributes))),
    rule.to.length === 0 ? 'yes' : any(rule.to.map((group) => evaluateGroup(group, attributes))),
    all(rule.when.map((condition) => condition.evaluate(attributes))),
  ]);
}

/** Whether every condition of a group holds. An empty group is refused by the API, so unknown here. */
export function evaluateGroup(group: ConditionGroup, attributes: L7Attributes): Truth {
  return group.length === 0 ? 'unknown' : all(group.map((condition) => condition.evaluate(attributes)));
}

function all(truths: readonly Truth[]): Truth {
  if (truths.includes('no')) return 'no';
  return truths.includes('unknown') ? 'unknown' : 'yes';
}

function any(truths: readonly Truth[]): Truth {
  if (truths.includes('yes')) return 'yes';
  return truths.includes('unknown') ? 'unknown' : 'no';
}

function actionOf(action: Action): PolicyAction | undefined {
  switch (action) {
    case Action.ALLOW:
      return 'ALLOW';
    case Action.DENY:
      return 'DENY';
    case Action.AUDIT:
      return 'AUDIT';
    case Action.CUSTOM:
      return 'CUSTOM';
    default:
      return undefined;
  }
}

function compileRule(
  rule: AuthorizationPolicy_Rule,
  index: number,
  names: MeshNames,
  policyNamespace: string,
): CompiledRule {
  const compile = (specs: readonly ConditionSpec[]): ConditionGroup =>
    specs.map((spec) => compileCondition(spec, names, policyNamespace));
  const from = rule.from.map((source) => compile(sourceSpecs(source)));
  const to = rule.to.map((operation) => compile(operationSpecs(operation)));
  const when = compile(rule.when.flatMap((condition) => conditionSpecs(condition)));
  const needsHttp = [...from, ...to, when].some((group) => group.some(({ isHttp }) => isHttp));
  return { index, from, to, when, needsHttp };
}

function pair(
  name: string,
  field: ConditionSpec['field'],
  values: readonly string[],
  notValues: readonly string[],
): ConditionSpec[] {
  const specs: ConditionSpec[] = [];
  if (values.length > 0) specs.push({ label: name, field, values, isNegated: false });
  const negated = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  if (notValues.length > 0) specs.push({ label: negated, field, values: notValues, isNegated: true });
  return specs;
}

function sourceSpecs(s: AuthorizationPolicy_Source): ConditionSpec[] {
  return [
    ...pair('principals', sourceFields.principals, s.principals, s.notPrincipals),
    ...pair('requestPrincipals', sourceFields.requestPrincipals, s.requestPrincipals, s.notRequestPrincipals),
    ...pair('namespaces', sourceFields.namespaces, s.namespaces, s.notNamespaces),
    ...pair('serviceAccounts', sourceFields.serviceAccounts, s.serviceAccounts, s.notServiceAccounts),
    ...pair('ipBlocks', sourceFields.ipBlocks, s.ipBlocks, s.notIpBlocks),
    ...pair('remoteIpBlocks', sourceFields.remoteIpBlocks, s.remoteIpBlocks, s.notRemoteIpBlocks),
  ];
}

function operationSpecs(o: AuthorizationPolicy_Operation): ConditionSpec[] {
  return [
    ...pair('hosts', operationFields.hosts, o.hosts, o.notHosts),
    ...pair('ports', operationFields.ports, o.ports, o.notPorts),
    ...pair('methods', operationFields.methods, o.methods, o.notMethods),
    ...pair('paths', operationFields.paths, o.paths, o.notPaths),
  ];
}

function conditionSpecs({ key, values, notValues }: AuthorizationPolicy_Condition): ConditionSpec[] {
  const field = conditionField(key);
  const label = `when ${key}`;
  const specs: ConditionSpec[] = [];
  // The API refuses a condition without values; one that arrives anyway must not widen an ALLOW.
  if (values.length > 0 || notValues.length === 0) {
    specs.push({ label, field: values.length > 0 ? field : undefined, values, isNegated: false });
  }
  if (notValues.length > 0) specs.push({ label: `${label} not`, field, values: notValues, isNegated: true });
  return specs;
}
