import { objectOf } from '../../../base/json.js';
import type { Strategy } from '../../registry/resource.js';
import { tolerationErrors } from '../pods/scheduling-errors.js';
import { Checks } from '../validation/checks.js';
import { containerResourceName, resourceAmount } from '../validation/quantities.js';
import { labels } from '../validation/selectors.js';

/** RuntimeClasses. */
export const runtimeClassStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    checks.name(object.handler, 'handler', 'label');
    for (const [name, amount] of Object.entries(objectOf(objectOf(object.overhead).podFixed))) {
      const where = `overhead.podFixed[${name}]`;
      containerResourceName(checks, name, where);
      resourceAmount(checks, name, amount, where);
    }
    const scheduling = objectOf(object.scheduling);
    labels(checks, scheduling.nodeSelector, 'scheduling.nodeSelector');
    tolerationErrors(checks, scheduling.tolerations, 'scheduling.tolerations');
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.handler, old.handler, 'handler');
    return checks.errors;
  },
};
