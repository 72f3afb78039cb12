import type { L7Attributes } from './attributes.js';
import { authorize, type Decision, ruleApplies } from './authorize.js';
import {
  type CompiledPolicy,
  type CompiledRule,
  type ConditionGroup,
  evaluateGroup,
  evaluateRule,
  type PolicyAction,
} from './compile.js';
import type { Truth } from './condition.js';

/** One condition against one request. */
export interface ConditionTrace {
  readonly field: string;
  readonly wanted: readonly string[];
  /** What the request has; undefined when that cannot be known here. */
  readonly actual: readonly string[] | undefined;
  readonly result: Truth;
}

/** One `source` or `operation` against one request. */
export interface GroupTrace {
  readonly result: Truth;
  readonly conditions: readonly ConditionTrace[];
}

/** One rule against one request. */
export interface RuleTrace {
  readonly index: number;
  readonly result: Truth;
  /** Whether the rule counts as matched for the policy's action. */
  readonly applies: boolean;
  readonly from: readonly GroupTrace[];
  readonly to: readonly GroupTrace[];
  readonly when: readonly ConditionTrace[];
}

/** One policy against one request. */
export interface PolicyTrace {
  readonly namespace: string;
  readonly name: string;
  readonly action: PolicyAction;
  readonly isDryRun: boolean;
  readonly isUnsupported: boolean;
  readonly applies: boolean;
  readonly rules: readonly RuleTrace[];
}

/** A decision with every policy and condition that led to it. */
export interface Explanation {
  readonly decision: Decision;
  readonly policies: readonly PolicyTrace[];
}

/** As `authorize`, with the evaluation of every condition, matched or not. */
export function explain(policies: readonly CompiledPolicy[], attributes: L7Attributes): Explanation {
  return {
    decision: authorize(policies, attributes),
    policies: policies.map((policy) => tracePolicy(policy, attributes)),
  };
}

function tracePolicy(policy: CompiledPolicy, attributes: L7Attributes): PolicyTrace {
  const { namespace, name, action, isDryRun, isUnsupported } = policy;
  const rules = policy.rules.map((rule) => traceRule(policy, rule, attributes));
  const applies = isUnsupported ? action !== 'ALLOW' : rules.some((rule) => rule.applies);
  return { namespace, name, action, isDryRun, isUnsupported, applies, rules };
}

function traceRule(policy: CompiledPolicy, rule: CompiledRule, attributes: L7Attributes): RuleTrace {
  const traceConditions = (group: ConditionGroup): ConditionTrace[] =>
    group.map((condition) => ({
      field: condition.field,
      wanted: condition.values,
      actual: condition.read(attributes),
      result: condition.evaluate(attributes),
    }));
  const traceGroup = (group: ConditionGroup): GroupTrace => ({
    result: evaluateGroup(group, attributes),
    conditions: traceConditions(group),
  });
  return {
    index: rule.index,
    result: evaluateRule(rule, attributes),
    applies: ruleApplies(policy, rule, attributes),
    from: rule.from.map(traceGroup),
    to: rule.to.map(traceGroup),
    when: traceConditions(rule.when),
  };
}
