import { CostBudget, CostExceeded } from '../../cel/budget.js';
import { CompileProblem, EvaluationFailure } from '../../cel/expression.js';
import { celValue } from '../../cel/values.js';
import type { ApiObject } from '../../object.js';
import { conditionsHold } from '../match/conditions.js';
import { LazyVariables } from './lazy-variables.js';
import type { Compiled, Policy, Validation } from './policy.js';

/** A validation that did not pass. */
export interface Violation {
  readonly message: string;
  readonly reason: string;
  /** It could not be evaluated: failurePolicy decides whether it counts. */
  readonly isError: boolean;
}

/** Evaluates a policy with one set of parameters; the variables of the request are given. */
export function violationsOf(
  policy: Policy,
  request: Readonly<Record<string, unknown>>,
  params: ApiObject | undefined,
): Violation[] {
  const budget = new CostBudget();
  const context: Record<string, unknown> = { ...request, params: celValue(params ?? null, undefined) };
  context.variables = new LazyVariables(
    new Map(policy.variables.map((v) => [v.name, () => variable(v.name, v.expression, context, budget)])),
  );
  const held = conditionsHold(policy.conditions, () => context);
  if (held === false) return [];
  if (held !== true) return [{ message: held.error, reason: 'Invalid', isError: true }];
  const violations: Violation[] = [];
  for (const validation of policy.validations) {
    const violation = check(validation, context, budget);
    if (violation !== undefined) violations.push(violation);
    if (budget.isSpent) break;
  }
  return violations;
}

function variable(
  name: string,
  expression: Compiled,
  context: Record<string, unknown>,
  budget: CostBudget,
): unknown {
  try {
    return run(expression, context, budget);
  } catch (error) {
    if (!(error instanceof EvaluationFailure)) throw error;
    throw new EvaluationFailure(`composited variable "${name}" fails to evaluate: ${error.message}`);
  }
}

function run(expression: Compiled, context: Record<string, unknown>, budget: CostBudget): unknown {
  if (expression instanceof CompileProblem)
    throw new EvaluationFailure(`compile error: ${expression.message}`);
  return expression.evaluate(context, budget);
}

function check(
  validation: Validation,
  context: Record<string, unknown>,
  budget: CostBudget,
): Violation | undefined {
  const failure = (message: string): Violation => ({ message, reason: 'Invalid', isError: true });
  try {
    if (run(validation.expression, context, budget) === true) return undefined;
  } catch (error) {
    if (error instanceof CostExceeded && budget.isSpent) {
      return failure(
        'validation failed due to running out of cost budget, no further validation rules will be run',
      );
    }
    if (!(error instanceof EvaluationFailure || error instanceof CostExceeded)) throw error;
    return failure(`expression '${validation.source}' resulted in error: ${error.message}`);
  }
  return { message: messageOf(validation, context, budget), reason: validation.reason, isError: false };
}

function messageOf(
  { source, message, messageExpression }: Validation,
  context: Record<string, unknown>,
  budget: CostBudget,
): string {
  const fixed = message.trim() === '' ? `failed expression: ${source.trim()}` : message.trim();
  if (messageExpression === undefined) return fixed;
  try {
    const text = run(messageExpression, context, budget);
    const isUsable = typeof text === 'string' && text.trim() !== '' && !text.includes('\n');
    return isUsable ? text.trim() : fixed;
  } catch (error) {
    if (error instanceof EvaluationFailure || error instanceof CostExceeded) return fixed;
    throw error;
  }
}
