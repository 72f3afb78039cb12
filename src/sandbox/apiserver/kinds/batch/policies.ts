import {
  arrayOf,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from '../../../base/json.js';
import { at, type Checks, isUnset } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';

const rulesMax = 20;
const exitCodesMax = 255;
const indexesMaxLength = 64 * 1024;
const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'];

function exitCodeErrors(checks: Checks, value: JsonObject, path: string, names: ReadonlySet<string>): void {
  checks.requiredOneOf(value.operator, at(path, 'operator'), ['In', 'NotIn']);
  if (value.containerName !== undefined && !names.has(stringOf(value.containerName))) {
    checks.invalid(
      at(path, 'containerName'),
      value.containerName,
      'must be one of the container or initContainer names in the pod template',
    );
  }
  const codes = arrayOf(value.values).map((v) => numberOf(v) ?? 0);
  const valuesPath = at(path, 'values');
  if (codes.length === 0) checks.invalid(valuesPath, [], 'at least one value is required');
  if (codes.length > exitCodesMax) checks.tooMany(valuesPath, codes.length, exitCodesMax);
  codes.forEach((code, i) => {
    if (value.operator === 'In' && code === 0)
      checks.invalid(`${valuesPath}[${i}]`, code, 'must not be 0 for the In operator');
    if (codes.indexOf(code) < i) checks.duplicate(`${valuesPath}[${i}]`, code);
  });
  if (codes.some((code, i) => (codes[i - 1] ?? code) > code))
    checks.invalid(valuesPath, codes, 'must be ordered');
}

/** When the failure of a pod counts. */
export function failurePolicyErrors(checks: Checks, spec: JsonObject, path: string): void {
  const rules = objectsOf(objectOf(spec.podFailurePolicy).rules);
  const podSpec = objectOf(objectOf(spec.template).spec);
  const containers = [...objectsOf(podSpec.containers), ...objectsOf(podSpec.initContainers)];
  const names = new Set(containers.map((c) => stringOf(c.name)));
  if (rules.length > rulesMax) checks.tooMany(at(path, 'rules'), rules.length, rulesMax);
  checks.each(rules, at(path, 'rules'), (rule, where) => {
    const { action } = rule;
    if (action === 'FailIndex') {
      if (spec.backoffLimitPerIndex === undefined)
        checks.invalid(at(where, 'action'), action, 'requires the backoffLimitPerIndex to be set');
    } else checks.requiredOneOf(action, at(where, 'action'), actions);
    const hasCodes = isObject(rule.onExitCodes);
    const conditions = objectsOf(rule.onPodConditions);
    checks.within(rule.onExitCodes, at(where, 'onExitCodes'), (value, p) => {
      exitCodeErrors(checks, value, p, names);
    });
    checks.each(conditions, at(where, 'onPodConditions'), (pattern, p) => {
      qualifiedName(checks, pattern.type, at(p, 'type'));
      checks.requiredOneOf(pattern.status, at(p, 'status'), ['False', 'True', 'Unknown']);
    });
    if (hasCodes && conditions.length > 0)
      checks.invalid(where, rule, 'specifying both OnExitCodes and OnPodConditions is not supported');
    if (!hasCodes && conditions.length === 0)
      checks.invalid(where, rule, 'specifying one of OnExitCodes and OnPodConditions is required');
  });
}

/** How many indexes a text such as `1,3-5` names; undefined when it is not one, or names an index out of order or beyond the last. */
function countIndexes(text: string, completions: number): number | undefined {
  let total = 0;
  let last = -1;
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const end = match[2] === undefined ? first : Number(match[2]);
    if (first <= last || end < first || end >= completions) return undefined;
    total += end - first + 1;
    last = end;
  }
  return total;
}

/** When an indexed job is done early. */
export function successPolicyErrors(checks: Checks, spec: JsonObject, path: string): void {
  const rules = objectsOf(objectOf(spec.successPolicy).rules);
  const completions = numberOf(spec.completions) ?? 0;
  if (rules.length === 0)
    checks.required(
      at(path, 'rules'),
      'at least one rules must be specified when the successPolicy is specified',
    );
  if (rules.length > rulesMax) checks.tooMany(at(path, 'rules'), rules.length, rulesMax);
  checks.each(rules, at(path, 'rules'), (rule, where) => {
    const count = numberOf(rule.succeededCount);
    const indexes = rule.succeededIndexes;
    if (count === undefined && indexes === undefined)
      checks.required(where, 'at least one of succeededCount or succeededIndexes must be specified');
    let total = 0;
    if (!isUnset(indexes)) {
      const text = stringOf(indexes);
      if (text.length > indexesMaxLength) checks.tooLong(at(where, 'succeededIndexes'), indexesMaxLength);
      const named = countIndexes(text, completions);
      if (named === undefined)
        checks.invalid(
          at(where, 'succeededIndexes'),
          text,
          'error parsing succeededIndexes: not a list of indexes in order',
        );
      total = named ?? 0;
    }
    if (count === undefined) return;
    const countPath = at(where, 'succeededCount');
    checks.nonNegative(count, countPath);
    if (count > completions)
      checks.invalid(
        countPath,
        count,
        `must be less than or equal to ${completions} (the number of specified completions)`,
      );
    if (!isUnset(indexes) && count > total) {
      checks.invalid(
        countPath,
        count,
        `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`,
      );
    }
  });
}
