import { childOf, equalJson, isObject, type JsonObject, objectOf, objectsOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks, isUnset } from '../validation/checks.js';
import { atMost100Percent, intOrPercent } from '../validation/int-or-percent.js';
import { countErrors, notAbove, selectorAndTemplate } from './template.js';

/** Fields of the spec that may change. */
const changeable = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

function strategyErrors(checks: Checks, strategy: JsonObject): void {
  const path = 'spec.updateStrategy';
  const rolling = strategy.rollingUpdate;
  if (strategy.type === 'OnDelete') {
    if (isObject(rolling))
      checks.invalid(`${path}.rollingUpdate`, rolling, "only allowed for updateStrategy 'RollingUpdate'");
  } else if (strategy.type !== 'RollingUpdate') {
    checks.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'");
  } else if (isObject(rolling)) {
    checks.nonNegative(rolling.partition, `${path}.rollingUpdate.partition`);
    intOrPercent(checks, rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`);
    atMost100Percent(checks, rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`);
  }
}

/** A claim template is written as a claim with all its parts. */
function defaultClaimTemplates(spec: JsonObject): void {
  for (const claim of objectsOf(spec.volumeClaimTemplates)) {
    claim.apiVersion ??= 'v1';
    claim.kind ??= 'PersistentVolumeClaim';
    childOf(claim, 'status').phase ??= 'Pending';
    childOf(claim, 'spec').volumeMode ??= 'Filesystem';
  }
}

/** StatefulSets. */
export const statefulSetStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    if (isUnset(spec.podManagementPolicy)) spec.podManagementPolicy = 'OrderedReady';
    spec.revisionHistoryLimit ??= 10;
    const strategy = childOf(spec, 'updateStrategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = childOf(strategy, 'rollingUpdate');
      rolling.partition ??= 0;
      // Kept only where the feature is on, which it is not by default.
      delete rolling.maxUnavailable;
    }
    const retention = childOf(spec, 'persistentVolumeClaimRetentionPolicy');
    retention.whenDeleted ??= 'Retain';
    retention.whenScaled ??= 'Retain';
    defaultClaimTemplates(spec);
    defaultTemplate(spec);
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    if (spec.podManagementPolicy !== 'OrderedReady' && spec.podManagementPolicy !== 'Parallel')
      checks.invalid(
        'spec.podManagementPolicy',
        spec.podManagementPolicy,
        "must be 'OrderedReady' or 'Parallel'",
      );
    strategyErrors(checks, objectOf(spec.updateStrategy));
    const retention = objectOf(spec.persistentVolumeClaimRetentionPolicy);
    for (const key of ['whenDeleted', 'whenScaled'])
      checks.oneOf(retention[key], `spec.persistentVolumeClaimRetentionPolicy.${key}`, ['Delete', 'Retain']);
    for (const key of ['replicas', 'minReadySeconds']) checks.nonNegative(spec[key], `spec.${key}`);
    checks.nonNegative(objectOf(spec.ordinals).start, 'spec.ordinals.start');
    selectorAndTemplate(checks, object, { isSelectorRequired: true, broken: '' });
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const fixed = (spec: JsonObject): JsonObject =>
      Object.fromEntries(Object.entries(spec).filter(([key]) => !changeable.includes(key)));
    if (!equalJson(fixed(specOf(object)), fixed(specOf(old)))) {
      checks.forbidden(
        'spec',
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
      );
    }
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const status = objectOf(object.status);
    const parts = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'];
    countErrors(checks, status, ['replicas', ...parts, 'collisionCount']);
    notAbove(checks, status, parts, 'replicas', 'status.replicas');
    notAbove(checks, status, ['availableReplicas'], 'readyReplicas', 'status.readyReplicas');
    return checks.errors;
  },
};
