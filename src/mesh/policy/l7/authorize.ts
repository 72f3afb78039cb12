import type { L7Attributes } from './attributes.js';
import { type CompiledPolicy, type CompiledRule, evaluateRule, type PolicyAction } from './compile.js';

/** The policy, and the rule in it, that a decision came from. */
export interface PolicyMatch {
  readonly namespace: string;
  readonly name: string;
  readonly action: PolicyAction;
  /** Index of the rule; undefined when the whole policy matched because it cannot be evaluated. */
  readonly rule: number | undefined;
}

/**
 * Why a request is allowed or denied:
 * - no-allow-policies: nothing denies it and no ALLOW policy applies
 * - allow-matched: a rule of an ALLOW policy matched
 * - deny-matched: a rule of a DENY policy matched
 * - custom-unavailable: a CUSTOM policy selected it and its authorizer cannot be asked here
 * - no-allow-matched: ALLOW policies apply and none of their rules matched
 */
export type DecisionReason =
  | 'no-allow-policies'
  | 'allow-matched'
  | 'deny-matched'
  | 'custom-unavailable'
  | 'no-allow-matched';

/** What dry-run policies of one action would have decided, had they been enforced. */
export interface ShadowDecision {
  readonly allowed: boolean;
  readonly match: PolicyMatch | undefined;
}

/** The outcome for one request or connection. */
export interface Decision {
  readonly allowed: boolean;
  readonly reason: DecisionReason;
  /** Absent for `no-allow-policies` and `no-allow-matched`. */
  readonly match: PolicyMatch | undefined;
  /** AUDIT rules that matched; they never change the outcome. */
  readonly audited: readonly PolicyMatch[];
  /** Present only when dry-run policies of that action apply. */
  readonly shadow: { readonly allow?: ShadowDecision; readonly deny?: ShadowDecision };
}

/**
 * Decides by the policies that apply (see `policiesFor`), in the order CUSTOM, AUDIT, DENY, ALLOW.
 * Pure. What cannot be evaluated never satisfies an ALLOW and always satisfies the others.
 */
export function authorize(policies: readonly CompiledPolicy[], attributes: L7Attributes): Decision {
  const enforced = policies.filter(({ isDryRun }) => !isDryRun);
  const audited = enforced.flatMap((policy) =>
    policy.action === 'AUDIT' ? matches(policy, attributes) : [],
  );
  const shadow = shadowDecisions(policies, attributes);
  const decide = (reason: DecisionReason, match?: PolicyMatch): Decision => ({
    allowed: reason === 'no-allow-policies' || reason === 'allow-matched',
    reason,
    match,
    audited,
    shadow,
  });
  const custom = firstMatch(enforced, 'CUSTOM', attributes);
  if (custom !== undefined) return decide('custom-unavailable', custom);
  const deny = firstMatch(enforced, 'DENY', attributes);
  if (deny !== undefined) return decide('deny-matched', deny);
  if (!enforced.some(({ action }) => action === 'ALLOW')) return decide('no-allow-policies');
  const allow = firstMatch(enforced, 'ALLOW', attributes);
  return allow === undefined ? decide('no-allow-matched') : decide('allow-matched', allow);
}

/** The `response_code_details` text of a refusal, as log parsers know it. */
export function denialDetails({ match }: Decision): string {
  const id =
    match === undefined
      ? 'none'
      : `ns[${match.namespace}]-policy[${match.name}]-rule[${match.rule ?? 'unsupported'}]`;
  return `rbac_access_denied_matched_policy[${id}]`;
}

/** Whether a rule counts as matched for its policy's action, in the light of what is unknown. */
export function ruleApplies(policy: CompiledPolicy, rule: CompiledRule, attributes: L7Attributes): boolean {
  const truth = evaluateRule(rule, attributes);
  if (policy.action !== 'ALLOW') return truth !== 'no';
  // On a TCP connection an ALLOW rule that names HTTP attributes is dropped as a whole, even where
  // another of its alternatives would match: that is how existing policies are enforced.
  if (rule.needsHttp && attributes.http === undefined) return false;
  return truth === 'yes';
}

function matches(policy: CompiledPolicy, attributes: L7Attributes): PolicyMatch[] {
  const { namespace, name, action } = policy;
  if (policy.isUnsupported) return action === 'ALLOW' ? [] : [{ namespace, name, action, rule: undefined }];
  const rule = policy.rules.find((candidate) => ruleApplies(policy, candidate, attributes));
  return rule === undefined ? [] : [{ namespace, name, action, rule: rule.index }];
}

function firstMatch(
  policies: readonly CompiledPolicy[],
  action: PolicyAction,
  attributes: L7Attributes,
): PolicyMatch | undefined {
  for (const policy of policies) {
    const match = policy.action === action ? matches(policy, attributes)[0] : undefined;
    if (match !== undefined) return match;
  }
  return undefined;
}

function shadowDecisions(policies: readonly CompiledPolicy[], attributes: L7Attributes): Decision['shadow'] {
  const dryRun = policies.filter(({ isDryRun }) => isDryRun);
  if (dryRun.length === 0) return {};
  const allow = firstMatch(dryRun, 'ALLOW', attributes);
  const deny = firstMatch(dryRun, 'DENY', attributes);
  return {
    ...(dryRun.some(({ action }) => action === 'ALLOW')
      ? { allow: { allowed: allow !== undefined, match: allow } }
      : {}),
    ...(dryRun.some(({ action }) => action === 'DENY')
      ? { deny: { allowed: deny === undefined, match: deny } }
      : {}),
  };
}
