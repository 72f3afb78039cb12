import { canonicalQuantity } from '../../../base/exact-quantity.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { at, Checks, isUnset } from '../validation/checks.js';

const maxPeriodSeconds = 1800;
const maxStabilizationSeconds = 3600;
const defaultCpuUtilization = 80;
const metricSources: Readonly<Record<string, string>> = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
};
const defaultRules: Readonly<Record<string, JsonObject>> = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
  },
  scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
};

function scaleTarget(checks: Checks, ref: JsonObject, path: string): void {
  for (const key of ['kind', 'name']) checks.requiredName(ref[key], at(path, key), 'path');
}

function isPositive(quantity: Json | undefined): boolean {
  return !(canonicalQuantity(quantity) ?? '0').startsWith('-') && canonicalQuantity(quantity) !== '0';
}

function metricTarget(checks: Checks, target: JsonObject, path: string): void {
  if (isUnset(target.type)) checks.required(at(path, 'type'), 'must specify a metric target type');
  if (!['Utilization', 'Value', 'AverageValue'].includes(stringOf(target.type))) {
    checks.invalid(at(path, 'type'), target.type ?? '', 'must be either Utilization, Value, or AverageValue');
  }
  for (const key of ['value', 'averageValue']) {
    if (target[key] !== undefined && !isPositive(target[key]))
      checks.invalid(at(path, key), target[key], 'must be positive');
  }
  const utilization = numberOf(target.averageUtilization);
  if (utilization !== undefined && utilization < 1)
    checks.invalid(at(path, 'averageUtilization'), utilization, 'must be greater than 0');
}

/** At least one of the target's values, and where said, not both. */
function targetValues(
  checks: Checks,
  target: JsonObject,
  path: string,
  rule: { keys: readonly string[]; report: string; isExclusive: boolean; detail: string; both?: string },
): void {
  const given = rule.keys.filter((k) => target[k] !== undefined);
  if (given.length === 0) checks.required(at(path, rule.report), rule.detail);
  if (rule.isExclusive && given.length > 1) checks.forbidden(at(path, rule.keys[0] ?? ''), rule.both ?? '');
}

function metricSource(checks: Checks, name: string, source: JsonObject, path: string): void {
  const target = objectOf(source.target);
  const targetPath = at(path, 'target');
  const isResource = name === 'resource' || name === 'containerResource';
  if (name === 'object') scaleTarget(checks, objectOf(source.describedObject), at(path, 'describedObject'));
  if (isResource) {
    if (isUnset(source.name)) checks.required(at(path, 'name'), 'must specify a resource name');
  } else {
    checks.requiredName(
      objectOf(source.metric).name,
      at(path, 'metric.name'),
      'path',
      'must specify a metric name',
    );
  }
  if (name === 'containerResource')
    checks.requiredName(source.container, at(path, 'container'), 'label', 'must specify a container');
  metricTarget(checks, target, targetPath);
  if (isResource) {
    targetValues(checks, target, targetPath, {
      keys: ['averageValue', 'averageUtilization'],
      report: 'averageUtilization',
      isExclusive: true,
      detail: 'must set either a target raw value or a target utilization',
      both: 'may not set both a target raw value and a target utilization',
    });
  } else if (name === 'pods') {
    targetValues(checks, target, targetPath, {
      keys: ['averageValue'],
      report: 'averageValue',
      isExclusive: false,
      detail: 'must specify a positive target averageValue',
    });
  } else {
    targetValues(checks, target, targetPath, {
      keys: ['value', 'averageValue'],
      report: 'averageValue',
      isExclusive: name === 'external',
      detail:
        name === 'external'
          ? 'must set either a target value for metric or a per-pod target'
          : 'must set either a target value or averageValue',
      both: 'may not set both a target value for metric and a per-pod target',
    });
  }
}

function metric(checks: Checks, spec: JsonObject, path: string): void {
  const type = stringOf(spec.type);
  const types = Object.keys(metricSources);
  if (type === '') checks.required(at(path, 'type'), 'must specify a metric source type');
  if (!types.includes(type)) checks.notSupported(at(path, 'type'), type, types);
  const given = ['object', 'external', 'pods', 'resource', 'containerResource'].filter((s) =>
    isObject(spec[s]),
  );
  const [first] = given;
  if (first !== undefined) metricSource(checks, first, objectOf(spec[first]), at(path, first));
  const expected = metricSources[type];
  if (expected === undefined) checks.notSupported(at(path, 'type'), type, types);
  else if (!isObject(spec[expected]))
    checks.required(at(path, expected), 'must populate information for the given metric source');
  if (given.length === 1) return;
  for (const other of given.filter((s) => s !== expected))
    checks.forbidden(at(path, other), 'must populate the given metric source only');
}

function scalingRules(checks: Checks, rules: JsonObject, path: string): void {
  const window = numberOf(rules.stabilizationWindowSeconds) ?? 0;
  const windowPath = at(path, 'stabilizationWindowSeconds');
  if (window < 0) checks.invalid(windowPath, window, 'must be greater than or equal to zero');
  if (window > maxStabilizationSeconds)
    checks.invalid(windowPath, window, `must be less than or equal to ${maxStabilizationSeconds}`);
  if (rules.selectPolicy !== undefined)
    checks.oneOf(rules.selectPolicy, at(path, 'selectPolicy'), ['Disabled', 'Max', 'Min']);
  if (objectsOf(rules.policies).length === 0)
    checks.required(at(path, 'policies'), 'must specify at least one Policy');
  checks.each(rules.policies, at(path, 'policies'), (policy, policyPath) => {
    checks.oneOf(policy.type, at(policyPath, 'type'), ['Percent', 'Pods']);
    for (const key of ['value', 'periodSeconds']) {
      if ((numberOf(policy[key]) ?? 0) <= 0)
        checks.invalid(at(policyPath, key), policy[key] ?? 0, 'must be greater than zero');
    }
    if ((numberOf(policy.periodSeconds) ?? 0) > maxPeriodSeconds) {
      checks.invalid(
        at(policyPath, 'periodSeconds'),
        policy.periodSeconds,
        `must be less than or equal to ${maxPeriodSeconds}`,
      );
    }
  });
}

/** HorizontalPodAutoscaler in its autoscaling/v2 form. */
export const autoscalerStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.minReplicas ??= 1;
    if (objectsOf(spec.metrics).length === 0) {
      spec.metrics = [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'Utilization', averageUtilization: defaultCpuUtilization },
          },
        },
      ];
    }
    if (!isObject(spec.behavior)) return;
    for (const [key, rules] of Object.entries(defaultRules)) {
      spec.behavior[key] = { ...structuredClone(rules), ...objectOf(spec.behavior[key]) };
    }
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const min = numberOf(spec.minReplicas);
    const max = numberOf(spec.maxReplicas) ?? 0;
    if (min !== undefined && min < 1)
      checks.invalid('spec.minReplicas', min, 'must be greater than or equal to 1');
    if (max < 1) checks.invalid('spec.maxReplicas', max, 'must be greater than 0');
    if (min !== undefined && max < min)
      checks.invalid('spec.maxReplicas', max, 'must be greater than or equal to `minReplicas`');
    scaleTarget(checks, objectOf(spec.scaleTargetRef), 'spec.scaleTargetRef');
    checks.each(spec.metrics, 'spec.metrics', (m, path) => {
      metric(checks, m, path);
    });
    const kinds = objectsOf(spec.metrics).map((m) => m.type);
    if (min === 0 && !kinds.includes('Object') && !kinds.includes('External')) {
      checks.forbidden(
        'spec.metrics',
        'must specify at least one Object or External metric to support scaling to zero replicas',
      );
    }
    const behavior = objectOf(spec.behavior);
    for (const key of ['scaleUp', 'scaleDown']) {
      checks.within(behavior[key], `spec.behavior.${key}`, (rules, path) => {
        scalingRules(checks, rules, path);
      });
    }
    return checks.errors;
  },
  validateUpdate: (object) => {
    const checks = new Checks();
    const status = objectOf(object.status);
    for (const key of ['currentReplicas', 'desiredReplicas'])
      checks.nonNegative(status[key], `status.${key}`);
    return checks.errors;
  },
};
