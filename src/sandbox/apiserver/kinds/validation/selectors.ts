import {
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  stringMapOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { labelErrors, labelValueProblems, qualifiedNameProblems } from '../../registry/names.js';
import { at, type Checks } from './checks.js';

/** A label key, condition type or topology key. */
export function qualifiedName(checks: Checks, value: Json | undefined, path: string): void {
  for (const problem of qualifiedNameProblems(stringOf(value))) checks.invalid(path, value ?? '', problem);
}

/** Labels at a path. */
export function labels(checks: Checks, value: Json | undefined, path: string): void {
  checks.errors.push(...labelErrors(stringMapOf(value), path));
}

/** A label selector (matchLabels, matchExpressions); absent is fine. */
export function labelSelector(checks: Checks, selector: Json | undefined, path: string): void {
  if (!isObject(selector)) return;
  labels(checks, selector.matchLabels, at(path, 'matchLabels'));
  checks.each(selector.matchExpressions, at(path, 'matchExpressions'), (expression, expressionPath) => {
    requirement(checks, expression, expressionPath);
    stringsOf(expression.values).forEach((value, i) => {
      for (const problem of labelValueProblems(value))
        checks.invalid(`${at(expressionPath, 'values')}[${i}]`, value, problem);
    });
  });
}

/** Key, operator and the number of values of one expression. */
function requirement(checks: Checks, expression: JsonObject, path: string): void {
  const operator = stringOf(expression.operator);
  const count = stringsOf(expression.values).length;
  const valuesPath = at(path, 'values');
  if (operator === 'In' || operator === 'NotIn') {
    if (count === 0) checks.required(valuesPath, "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (count > 0)
      checks.forbidden(valuesPath, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else checks.invalid(at(path, 'operator'), operator, 'not a valid selector operator');
  qualifiedName(checks, expression.key, at(path, 'key'));
}

/** A node selector (nodeSelectorTerms): at least one term. */
export function nodeSelector(checks: Checks, selector: Json | undefined, path: string): void {
  const terms = objectOf(selector).nodeSelectorTerms;
  const termsPath = at(path, 'nodeSelectorTerms');
  if (!Array.isArray(terms) || terms.length === 0)
    checks.required(termsPath, 'must have at least one node selector term');
  checks.each(terms, termsPath, (term, termPath) => {
    nodeSelectorTerm(checks, term, termPath);
  });
}

/** One term of a node selector. */
export function nodeSelectorTerm(checks: Checks, term: JsonObject, path: string): void {
  checks.each(term.matchExpressions, at(path, 'matchExpressions'), (expression, expressionPath) => {
    const { operator } = expression;
    if (operator !== 'Gt' && operator !== 'Lt') {
      requirement(checks, expression, expressionPath);
      return;
    }
    if (stringsOf(expression.values).length !== 1) {
      checks.required(
        at(expressionPath, 'values'),
        "must be specified single value when `operator` is 'Lt' or 'Gt'",
      );
    }
    qualifiedName(checks, expression.key, at(expressionPath, 'key'));
  });
  checks.each(term.matchFields, at(path, 'matchFields'), (field, fieldPath) => {
    if (field.operator !== 'In' && field.operator !== 'NotIn')
      checks.invalid(at(fieldPath, 'operator'), field.operator ?? '', 'not a valid selector operator');
    else if (stringsOf(field.values).length !== 1)
      checks.required(
        at(fieldPath, 'values'),
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
      );
    if (field.key !== 'metadata.name')
      checks.invalid(at(fieldPath, 'key'), field.key ?? '', 'not a valid field selector key');
  });
}
