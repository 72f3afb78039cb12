import { childOf, isObject, numberOf, objectOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks } from '../validation/checks.js';
import { amountOf, atMost100Percent, intOrPercent } from '../validation/int-or-percent.js';
import { countErrors, notAbove, selectorAndTemplate, selectorChange } from './template.js';

const rollingPath = 'spec.strategy.rollingUpdate';

function strategyErrors(checks: Checks, value: unknown): void {
  const strategy = objectOf(isObject(value) ? value : undefined);
  const rolling = objectOf(strategy.rollingUpdate);
  if (strategy.type === 'Recreate') {
    if (isObject(strategy.rollingUpdate))
      checks.forbidden(rollingPath, "may not be specified when strategy `type` is 'Recreate'");
    return;
  }
  if (strategy.type !== 'RollingUpdate') {
    checks.notSupported('spec.strategy', strategy, ['Recreate', 'RollingUpdate']);
    return;
  }
  const { maxSurge, maxUnavailable } = rolling;
  intOrPercent(checks, maxUnavailable, `${rollingPath}.maxUnavailable`);
  intOrPercent(checks, maxSurge, `${rollingPath}.maxSurge`);
  if (amountOf(maxUnavailable) === 0 && amountOf(maxSurge) === 0)
    checks.invalid(`${rollingPath}.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0');
  atMost100Percent(checks, maxUnavailable, `${rollingPath}.maxUnavailable`);
}

/** Deployments. */
export const deploymentStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    const strategy = childOf(spec, 'strategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = childOf(strategy, 'rollingUpdate');
      rolling.maxUnavailable ??= '25%';
      rolling.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    defaultTemplate(spec);
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    for (const key of ['replicas', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds'])
      checks.nonNegative(spec[key], `spec.${key}`);
    selectorAndTemplate(checks, object, { isSelectorRequired: true, broken: 'invalid label selector' });
    strategyErrors(checks, spec.strategy);
    const deadline = numberOf(spec.progressDeadlineSeconds);
    if (deadline !== undefined && deadline <= (numberOf(spec.minReadySeconds) ?? 0))
      checks.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds');
    return checks.errors;
  },
  validateUpdate: selectorChange,
  keptByStatus: ['labels'],
  validateStatus: (object) => {
    const checks = new Checks();
    const status = objectOf(object.status);
    countErrors(checks, status, [
      'replicas',
      'updatedReplicas',
      'readyReplicas',
      'availableReplicas',
      'unavailableReplicas',
      'collisionCount',
    ]);
    notAbove(
      checks,
      status,
      ['updatedReplicas', 'readyReplicas', 'availableReplicas'],
      'replicas',
      'status.replicas',
    );
    notAbove(checks, status, ['availableReplicas'], 'readyReplicas');
    return checks.errors;
  },
};
