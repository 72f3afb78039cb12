import { isObject } from '../../../base/json.js';
import type { Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';

/** ControllerRevisions: a history entry never changes. */
export const controllerRevisionStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    checks.nonNegative(object.revision, 'revision');
    if (!isObject(object.data)) checks.required('data', 'data is mandatory');
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.data, old.data, 'data');
    return checks.errors;
  },
};
