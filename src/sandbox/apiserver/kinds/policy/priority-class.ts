import { numberOf } from '../../../base/json.js';
import type { Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';

const userMax = 1_000_000_000;
const systemPrefix = 'system-';
/** The classes that every cluster has. */
const system: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

/** PriorityClasses. */
export const priorityClassStrategy: Strategy = {
  defaults: (draft) => {
    draft.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  validate: (object) => {
    const checks = new Checks();
    const { name } = object.metadata;
    const value = numberOf(object.value) ?? 0;
    if (name.startsWith(systemPrefix)) {
      if (system[name] !== value) {
        checks.forbidden(
          'metadata.name',
          "priority class names with 'system-' prefix are reserved for system use only. error: not one of the system priority classes",
        );
      }
    } else if (value > userMax) {
      checks.forbidden('value', `maximum allowed value of a user defined priority is ${userMax}`);
    }
    checks.oneOf(object.preemptionPolicy, 'preemptionPolicy', ['Never', 'PreemptLowerPriority']);
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    if ((numberOf(object.value) ?? 0) !== (numberOf(old.value) ?? 0))
      checks.forbidden('value', 'may not be changed in an update.');
    checks.immutable(object.preemptionPolicy, old.preemptionPolicy, 'preemptionPolicy');
    return checks.errors;
  },
};
