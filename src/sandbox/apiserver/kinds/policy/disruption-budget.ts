import { isObject } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';
import { atMost100Percent, intOrPercent } from '../validation/int-or-percent.js';
import { labelSelector } from '../validation/selectors.js';

/** PodDisruptionBudgets. */
export const disruptionBudgetStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
      checks.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set');
    for (const key of ['minAvailable', 'maxUnavailable']) {
      intOrPercent(checks, spec[key], `spec.${key}`);
      atMost100Percent(checks, spec[key], `spec.${key}`);
    }
    labelSelector(checks, spec.selector, 'spec.selector');
    const eviction = spec.unhealthyPodEvictionPolicy;
    if (eviction !== undefined)
      checks.oneOf(eviction, 'spec.unhealthyPodEvictionPolicy', ['AlwaysAllow', 'IfHealthyBudget']);
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const status = isObject(object.status) ? object.status : {};
    for (const key of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'])
      checks.nonNegative(status[key], `status.${key}`);
    return checks.errors;
  },
};
