import { childOf, equalJson, isObject, type JsonObject, objectOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks } from '../validation/checks.js';
import { amountOf, atMost100Percent, intOrPercent } from '../validation/int-or-percent.js';
import { countErrors, selectorAndTemplate, selectorChange } from './template.js';

const templateGeneration = 'deprecated.daemonset.template.generation';
const rollingPath = 'spec.updateStrategy.rollingUpdate';

function strategyErrors(checks: Checks, strategy: JsonObject): void {
  if (strategy.type === 'OnDelete') return;
  if (strategy.type !== 'RollingUpdate') {
    checks.notSupported('spec.updateStrategy', strategy, ['OnDelete', 'RollingUpdate']);
    return;
  }
  if (!isObject(strategy.rollingUpdate)) {
    checks.required(rollingPath);
    return;
  }
  const { maxUnavailable, maxSurge } = strategy.rollingUpdate;
  for (const check of [intOrPercent, atMost100Percent]) {
    check(checks, maxUnavailable, `${rollingPath}.maxUnavailable`);
    check(checks, maxSurge, `${rollingPath}.maxSurge`);
  }
  const hasUnavailable = amountOf(maxUnavailable) !== 0;
  const hasSurge = amountOf(maxSurge) !== 0;
  if (hasUnavailable && hasSurge)
    checks.invalid(`${rollingPath}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero');
  if (!hasUnavailable && !hasSurge)
    checks.required(`${rollingPath}.maxUnavailable`, 'cannot be 0 when maxSurge is 0');
}

/** Counts the templates so far; kept for clients of the time before ControllerRevisions. */
function setTemplateGeneration(draft: ApiObject, generation: number): void {
  draft.metadata.annotations = {
    ...draft.metadata.annotations,
    [templateGeneration]: String(generation),
  };
}

/** DaemonSets. */
export const daemonSetStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    const strategy = childOf(spec, 'updateStrategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = childOf(strategy, 'rollingUpdate');
      rolling.maxUnavailable ??= 1;
      rolling.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec);
  },
  prepareCreate: (draft) => setTemplateGeneration(draft, 1),
  prepareUpdate: (draft, old) => {
    const before = Number(old.metadata.annotations?.[templateGeneration] ?? 1);
    const isSame = equalJson(specOf(draft).template, specOf(old).template);
    setTemplateGeneration(draft, isSame ? before : before + 1);
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    selectorAndTemplate(checks, object, { isSelectorRequired: false, broken: 'template only' });
    for (const key of ['minReadySeconds', 'revisionHistoryLimit'])
      checks.nonNegative(spec[key], `spec.${key}`);
    strategyErrors(checks, objectOf(spec.updateStrategy));
    return checks.errors;
  },
  validateUpdate: selectorChange,
  validateStatus: (object) => {
    const checks = new Checks();
    countErrors(checks, objectOf(object.status), [
      'currentNumberScheduled',
      'numberMisscheduled',
      'desiredNumberScheduled',
      'numberReady',
      'updatedNumberScheduled',
      'numberAvailable',
      'numberUnavailable',
      'collisionCount',
    ]);
    return checks.errors;
  },
};
