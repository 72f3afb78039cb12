import { numberOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';

/** Leases. */
export const leaseStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const duration = numberOf(spec.leaseDurationSeconds);
    if (duration !== undefined && duration <= 0)
      checks.invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0');
    checks.nonNegative(spec.leaseTransitions, 'spec.leaseTransitions');
    return checks.errors;
  },
};
