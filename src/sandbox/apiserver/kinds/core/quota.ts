import {
  childOf,
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  objectsOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { canonicalQuantity } from '../../../base/exact-quantity.js';
import { qualifiedNameProblems } from '../../registry/names.js';
import { at, Checks } from '../validation/checks.js';
import {
  compareQuantities,
  containerResourceName,
  isExtendedResource,
  quotaResourceName,
  resourceAmount,
  resourceName,
} from '../validation/quantities.js';

const computeResources: ReadonlySet<string> = new Set([
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
]);
const scopes = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
];
const opposites = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const;

/** Whether a scope can narrow down a resource. */
function suits(scope: string, resource: string): boolean {
  return resource === 'pods' || (scope !== 'BestEffort' && computeResources.has(resource));
}

/** Resources that scopes are checked against. */
function isStandard(resource: string): boolean {
  return !resource.includes('/') && !isExtendedResource(resource);
}

function conflictErrors(
  checks: Checks,
  given: readonly string[],
  value: Json | undefined,
  path: string,
): void {
  for (const pair of opposites)
    if (pair.every((s) => given.includes(s))) checks.invalid(path, value, 'conflicting scopes');
}

function scopeErrors(checks: Checks, spec: JsonObject): void {
  const given = stringsOf(spec.scopes);
  const path = 'spec.scopes';
  for (const scope of given) {
    if (!scopes.includes(scope)) checks.invalid(path, given, 'unsupported scope');
    for (const resource of Object.keys(objectOf(spec.hard)).filter(isStandard))
      if (scopes.includes(scope) && !suits(scope, resource))
        checks.invalid(path, given, 'unsupported scope applied to resource');
  }
  conflictErrors(checks, given, given, path);
}

function selectorErrors(checks: Checks, spec: JsonObject): void {
  if (!isObject(spec.scopeSelector)) return;
  const expressions = objectsOf(spec.scopeSelector.matchExpressions);
  // Errors name the list, not the item: so does Kubernetes.
  const path = 'spec.scopeSelector.matchExpressions';
  for (const expression of expressions) {
    const scope = stringOf(expression.scopeName);
    const operator = stringOf(expression.operator);
    const count = stringsOf(expression.values).length;
    if (!scopes.includes(scope)) checks.invalid(at(path, 'scopeName'), scope, 'unsupported scope');
    for (const resource of Object.keys(objectOf(spec.hard)).filter(isStandard))
      if (scopes.includes(scope) && !suits(scope, resource))
        checks.invalid(path, spec.scopeSelector, 'unsupported scope applied to resource');
    if (scopes.includes(scope) && scope !== 'PriorityClass' && operator !== 'Exists')
      checks.invalid(at(path, 'operator'), operator, `must be 'Exists' when scope is ${scope}`);
    if (operator === 'In' || operator === 'NotIn') {
      if (count === 0) {
        checks.required(
          at(path, 'values'),
          "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        );
      }
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (count > 0) {
        checks.invalid(
          at(path, 'values'),
          expression.values,
          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        );
      }
    } else checks.invalid(at(path, 'operator'), operator, 'not a valid selector operator');
  }
  conflictErrors(
    checks,
    expressions.map((e) => stringOf(e.scopeName)),
    spec.scopes,
    path,
  );
}

/** ResourceQuotas. */
export const resourceQuotaStrategy: Strategy = {
  prepareCreate: (draft) => {
    childOf(draft, 'status');
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    for (const [name, amount] of Object.entries(objectOf(spec.hard))) {
      const where = `spec.hard[${name}]`;
      quotaResourceName(checks, name, where);
      resourceAmount(checks, name, amount, where);
    }
    scopeErrors(checks, spec);
    selectorErrors(checks, spec);
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const sorted = (value: Json | undefined): string[] => [...stringsOf(value)].sort();
    const [now, before] = [sorted(specOf(object).scopes), sorted(specOf(old).scopes)];
    if (now.join() !== before.join()) checks.invalid('spec.scopes', now, 'field is immutable');
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const status = objectOf(object.status);
    for (const field of ['hard', 'used']) {
      for (const [name, amount] of Object.entries(objectOf(status[field]))) {
        const where = `status.${field}[${name}]`;
        quotaResourceName(checks, name, where);
        resourceAmount(checks, name, amount, where);
      }
    }
    return checks.errors;
  },
};

const limitTypes = ['Container', 'PersistentVolumeClaim', 'Pod'];
const limitFields = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;

/** Pairs of [field, smaller or equal field, what is wrong otherwise], each reported at the field named last. */
const orders: readonly (readonly [string, string, string, string])[] = [
  ['min', 'max', 'min', 'min value is greater than max value'],
  ['min', 'defaultRequest', 'defaultRequest', 'min value is greater than default request value'],
  ['defaultRequest', 'max', 'defaultRequest', 'default request value is greater than max value'],
  [
    'defaultRequest',
    'default',
    'defaultRequest',
    'default request value is greater than default limit value',
  ],
  ['min', 'default', 'default', 'min value is greater than default value'],
  ['default', 'max', 'default', 'default value is greater than max value'],
];

function limitErrors(checks: Checks, limit: JsonObject, path: string): void {
  const isPod = limit.type === 'Pod';
  const amounts = (field: string): JsonObject =>
    isPod && field.startsWith('default') ? {} : objectOf(limit[field]);
  for (const field of limitFields) {
    if (isPod && field.startsWith('default')) {
      if (Object.keys(objectOf(limit[field])).length > 0)
        checks.forbidden(at(path, field), "may not be specified when `type` is 'Pod'");
      continue;
    }
    const check = limit.type === 'Pod' || limit.type === 'Container' ? containerResourceName : resourceName;
    for (const name of Object.keys(amounts(field))) check(checks, name, `${at(path, field)}[${name}]`);
  }
  if (
    limit.type === 'PersistentVolumeClaim' &&
    !('storage' in amounts('min')) &&
    !('storage' in amounts('max'))
  ) {
    checks.required(
      at(path, 'limits'),
      'either minimum or maximum storage value is required, but neither was provided',
    );
  }
  const names = new Set(limitFields.flatMap((field) => Object.keys(amounts(field))));
  for (const name of names) {
    for (const [small, large, report, detail] of orders) {
      const [a, b] = [amounts(small)[name], amounts(large)[name]];
      if (a !== undefined && b !== undefined && compareQuantities(a, b) > 0)
        checks.invalid(`${at(path, report)}[${name}]`, amounts(report)[name], detail);
    }
    const ratio = amounts('maxLimitRequestRatio')[name];
    if (ratio !== undefined && compareQuantities(ratio, '1') < 0)
      checks.invalid(
        `${at(path, 'maxLimitRequestRatio')}[${name}]`,
        ratio,
        `ratio ${canonicalQuantity(ratio) ?? ''} is less than 1`,
      );
  }
}

/** LimitRanges. */
export const limitRangeStrategy: Strategy = {
  defaults: (draft) => {
    for (const limit of objectsOf(specOf(draft).limits)) {
      if (limit.type !== 'Container') continue;
      limit.default = { ...objectOf(limit.max), ...objectOf(limit.default) };
      limit.defaultRequest = {
        ...objectOf(limit.min),
        ...objectOf(limit.default),
        ...objectOf(limit.defaultRequest),
      };
    }
  },
  validate: (object) => {
    const checks = new Checks();
    const seen = new Set<string>();
    checks.each(specOf(object).limits, 'spec.limits', (limit, path) => {
      const type = stringOf(limit.type);
      const problems = qualifiedNameProblems(type);
      for (const problem of problems) checks.invalid(at(path, 'type'), type, problem);
      if (problems.length === 0 && !type.includes('/') && !limitTypes.includes(type))
        checks.invalid(at(path, 'type'), type, 'must be a standard limit type or fully qualified');
      if (seen.has(type)) checks.duplicate(at(path, 'type'), type);
      seen.add(type);
      limitErrors(checks, limit, path);
    });
    return checks.errors;
  },
};
