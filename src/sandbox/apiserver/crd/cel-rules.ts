import { Optional } from '@marcbachmann/cel-js';
import { CostBudget, CostExceeded } from '../cel/budget.js';
import { CompileProblem, EvaluationFailure } from '../cel/expression.js';
import { celValue } from '../cel/values.js';
import { type FieldError, fieldError } from '../api-error.js';
import { equalJson, isObject, type Json } from '../../base/json.js';
import type { CelRule, Schema } from '../schema/schema.js';
import { ruleProgram, usesOldSelf } from './rule-programs.js';
import { itemStep } from '../schema/item-step.js';

const errorsMax = 50;

interface Walk {
  readonly errors: FieldError[];
  /** What an update leaves as it was, though a rule forbids it by now. */
  readonly tolerated: FieldError[];
  readonly budget: CostBudget;
  isOver: boolean;
}

/** A value, what it was before (when that can be told), and where it is. */
interface Place {
  readonly value: Json;
  readonly old: Json | undefined;
  readonly schema: Schema;
  readonly path: string;
}

/**
 * Checks an object against the x-kubernetes-validations of its schema. Rules on
 * transitions need the old object; other rules only warn of what an update
 * leaves as it was (ratcheting).
 */
export function celErrors(
  value: Json,
  old: Json | undefined,
  schema: Schema,
  warnings?: string[],
): FieldError[] {
  const walk: Walk = { errors: [], tolerated: [], budget: new CostBudget(), isOver: false };
  visit({ value, old, schema, path: '' }, walk);
  warnings?.push(...walk.tolerated.map((e) => `${e.field}: ${e.message}`));
  return walk.errors;
}

function visit(place: Place, walk: Walk): void {
  const { value, schema } = place;
  if (value === null && schema.nullable === true) return;
  checkRules(place, walk);
  if (walk.isOver || walk.errors.length >= errorsMax) return;
  if (Array.isArray(value)) visitItems(place, value, walk);
  else if (isObject(value)) {
    const before = isObject(place.old) ? place.old : {};
    const extra = schema.additionalProperties;
    for (const key of Object.keys(value)) {
      const isKnown = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
      const child = isKnown ? schema.properties?.[key] : typeof extra === 'object' ? extra : undefined;
      const inner = value[key];
      if (child === undefined || inner === undefined) continue;
      const old = Object.hasOwn(before, key) ? before[key] : undefined;
      const path = isKnown ? (place.path === '' ? key : `${place.path}.${key}`) : `${place.path}[${key}]`;
      visit({ value: inner, old, schema: child, path }, walk);
      if (walk.isOver) return;
    }
  }
}

function visitItems({ old, schema, path }: Place, items: readonly Json[], walk: Walk): void {
  if (schema.items === undefined) return;
  const previous = new Map<string, Json>();
  if (schema.listType === 'map' && Array.isArray(old)) {
    for (const o of old as Json[]) previous.set(itemStep(o, schema) ?? '', o);
  }
  for (const [i, value] of items.entries()) {
    const before = previous.get(itemStep(value, schema) ?? '');
    visit({ value, old: before, schema: schema.items, path: `${path}[${i}]` }, walk);
    if (walk.isOver) return;
  }
}

function checkRules(place: Place, walk: Walk): void {
  const { value, old, schema } = place;
  if (schema.rules === undefined || schema.rules.length === 0) return;
  const isUnchanged = old !== undefined && equalJson(value, old);
  const self = celValue(value, schema);
  const oldSelf = celValue(old, schema);
  for (const rule of schema.rules) {
    const isTransition = usesOldSelf(rule.rule);
    if (isTransition && old === undefined && rule.optionalOldSelf !== true) continue;
    const context = { self, oldSelf: rule.optionalOldSelf === true ? Optional.of(oldSelf) : oldSelf };
    const error = evaluate(rule, context, place, walk);
    if (error !== undefined) (isUnchanged && !isTransition ? walk.tolerated : walk.errors).push(error);
    if (walk.isOver) return;
  }
}

function evaluate(
  rule: CelRule,
  context: Record<string, unknown>,
  { schema, path }: Place,
  walk: Walk,
): FieldError | undefined {
  const where = path === '' ? '<nil>' : path;
  // What Kubernetes shows instead of the value is its type.
  const shown = schema.type ?? '';
  const named = (rule.message ?? rule.rule).trim();
  const program = ruleProgram(rule.rule, 'bool', rule.optionalOldSelf);
  if (program instanceof CompileProblem) {
    // Definitions with such rules are refused; one that got in before must still not be skipped.
    return fieldError.invalid(where, shown, `rule compile error: ${program.message}`);
  }
  try {
    if (program.evaluate(context, walk.budget) === true) return undefined;
  } catch (error) {
    if (error instanceof CostExceeded) {
      walk.isOver = true;
      const why = walk.budget.isSpent
        ? 'validation failed due to running out of cost budget, no further validation rules will be run'
        : `'${error.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${named}`;
      return fieldError.invalid(where, shown, why);
    }
    if (!(error instanceof EvaluationFailure)) throw error;
    const isOverload = error.message.startsWith('no such overload');
    return fieldError.invalid(
      where,
      shown,
      isOverload
        ? `'${error.message}': call arguments did not match a supported operator, function or macro signature for rule: ${named}`
        : `${error.message} evaluating rule: ${named}`,
    );
  }
  const at = rule.fieldPath === undefined ? where : `${path}${rule.fieldPath}`.replace(/^\./, '');
  const message = messageFor(rule, context, walk.budget);
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return fieldError.forbidden(at, message);
    case 'FieldValueRequired':
      return fieldError.required(at, message);
    case 'FieldValueDuplicate':
      return fieldError.duplicate(at, shown);
    default:
      return fieldError.invalid(at, shown, message);
  }
}

function messageFor(rule: CelRule, context: Record<string, unknown>, budget: CostBudget): string {
  const fixed = rule.message?.trim() ?? `failed rule: ${rule.rule.trim()}`;
  if (rule.messageExpression === undefined) return fixed;
  const program = ruleProgram(rule.messageExpression, 'string', rule.optionalOldSelf);
  if (program instanceof CompileProblem) return fixed;
  try {
    const text = program.evaluate(context, budget);
    return typeof text === 'string' && text.trim() !== '' && !text.includes('\n') ? text : fixed;
  } catch (error) {
    if (error instanceof CostExceeded || error instanceof EvaluationFailure) return fixed;
    throw error;
  }
}
