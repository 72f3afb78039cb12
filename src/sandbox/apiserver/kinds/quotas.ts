import { ExactQuantity } from '../../../kube/exact-quantity.js';
import { type FieldError, fieldError } from '../http/api-error.js';
import { childOf, type Json, type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { quantityProblem } from './quantity.js';

const podScopes = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
];
const operators = ['DoesNotExist', 'Exists', 'In', 'NotIn'];
const withoutValues: ReadonlySet<string> = new Set(podScopes.filter((s) => s !== 'PriorityClass'));
const conflicts = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const;

function quantityErrors(value: Json | undefined, at: string): FieldError[] {
  return Object.entries(objectOf(value)).flatMap(([name, quantity]) => {
    const problem = quantityProblem(quantity);
    return problem === undefined ? [] : [fieldError.invalid(`${at}[${name}]`, quantity, problem)];
  });
}

/** Writes quantities in their canonical form, as Kubernetes does when it stores them. */
function canonical(parent: JsonObject, key: string): void {
  const values = objectOf(parent[key]);
  for (const [name, value] of Object.entries(values)) {
    const quantity = ExactQuantity.parse(value);
    if (quantity !== undefined) values[name] = quantity.toString();
  }
}

function scopeErrors(spec: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const scopes = stringsOf(spec.scopes);
  scopes.forEach((scope) => {
    if (!podScopes.includes(scope))
      errors.push(fieldError.invalid('spec.scopes', scope, 'unsupported scope'));
  });
  for (const pair of conflicts) {
    if (pair.every((scope) => scopes.includes(scope))) {
      errors.push(fieldError.invalid('spec.scopes', scopes, 'conflicting scopes'));
    }
  }
  objectsOf(objectOf(spec.scopeSelector).matchExpressions).forEach((e, i) => {
    const at = `spec.scopeSelector.matchExpressions[${i}]`;
    const scope = stringOf(e.scopeName);
    const operator = stringOf(e.operator);
    const values = stringsOf(e.values);
    if (!podScopes.includes(scope))
      errors.push(fieldError.invalid(`${at}.scopeName`, scope, 'unsupported scope'));
    if (!operators.includes(operator)) {
      errors.push(fieldError.invalid(`${at}.operator`, operator, 'not a valid selector operator'));
    } else if (withoutValues.has(scope) && operator !== 'Exists') {
      errors.push(
        fieldError.invalid(
          `${at}.operator`,
          operator,
          `only 'Exist' operator is allowed for scope ${scope}`.replace("'Exist'", "'Exists'"),
        ),
      );
    }
    const needsValues = operator === 'In' || operator === 'NotIn';
    if (needsValues && values.length === 0) {
      errors.push(
        fieldError.required(
          `${at}.values`,
          "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ),
      );
    } else if (!needsValues && values.length > 0) {
      errors.push(
        fieldError.invalid(
          `${at}.values`,
          values,
          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        ),
      );
    }
  });
  return errors;
}

/** The defaults of one item of a LimitRange: limits follow the maximum, requests the limit or the minimum. */
function defaultItem(item: JsonObject): void {
  if (item.type === 'Container') {
    const limits = { ...objectOf(item.default) };
    for (const [name, value] of Object.entries(objectOf(item.max))) limits[name] ??= value;
    const requests = { ...objectOf(item.defaultRequest) };
    for (const [name, value] of Object.entries(limits)) requests[name] ??= value;
    for (const [name, value] of Object.entries(objectOf(item.min))) requests[name] ??= value;
    if (Object.keys(limits).length > 0) item.default = limits;
    if (Object.keys(requests).length > 0) item.defaultRequest = requests;
  }
  for (const key of ['default', 'defaultRequest', 'max', 'maxLimitRequestRatio', 'min']) canonical(item, key);
}

function rangeErrors(range: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  objectsOf(specOf(range).limits).forEach((item, i) => {
    const at = `spec.limits[${i}]`;
    const type = stringOf(item.type);
    if (seen.has(type)) errors.push(fieldError.duplicate(`${at}.type`, type));
    seen.add(type);
    const of = (key: string, name: string): ExactQuantity | undefined =>
      ExactQuantity.parse(objectOf(item[key])[name]);
    const names = new Set<string>();
    for (const key of ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio']) {
      errors.push(...quantityErrors(item[key], `${at}.${key}`));
      for (const name of Object.keys(objectOf(item[key]))) names.add(name);
      if (type === 'Pod' && key.startsWith('default') && Object.keys(objectOf(item[key])).length > 0) {
        errors.push(fieldError.forbidden(`${at}.${key}`, "may not be specified when `type` is 'Pod'"));
      }
    }
    const ordered: readonly [string, string][] = [
      ['min', 'max'],
      ['min', 'defaultRequest'],
      ['defaultRequest', 'max'],
      ['defaultRequest', 'default'],
      ['min', 'default'],
      ['default', 'max'],
    ];
    for (const name of names) {
      for (const [low, high] of ordered) {
        const a = of(low, name);
        const b = of(high, name);
        if (a === undefined || b === undefined || a.compare(b) <= 0) continue;
        const word = (key: string): string =>
          key === 'default' ? 'default' : key === 'defaultRequest' ? 'default request' : key;
        errors.push(
          fieldError.invalid(
            `${at}.${low}[${name}]`,
            a.toString(),
            `${word(low)} value ${a.toString()} is greater than ${word(high)} value ${b.toString()}`,
          ),
        );
      }
    }
  });
  return errors;
}

/** ResourceQuotas and LimitRanges. */
export const quotaStrategies: Readonly<Record<string, Strategy>> = {
  resourcequotas: {
    defaults: (draft) => canonical(specOf(draft), 'hard'),
    prepareCreate: (draft) => {
      childOf(draft, 'status');
    },
    validate: (quota) => [...quantityErrors(specOf(quota).hard, 'spec.hard'), ...scopeErrors(specOf(quota))],
    validateUpdate: (quota, old) => {
      const scopes = (q: KubeObject): string => [...stringsOf(objectOf(q.spec).scopes)].sort().join();
      return scopes(quota) === scopes(old)
        ? []
        : [fieldError.invalid('spec.scopes', stringsOf(specOf(quota).scopes), 'field is immutable')];
    },
  },
  limitranges: {
    defaults: (draft) => {
      for (const item of objectsOf(specOf(draft).limits)) defaultItem(item);
    },
    validate: rangeErrors,
  },
};
