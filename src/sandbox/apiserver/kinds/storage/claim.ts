import {
  arrayOf,
  cloneJson,
  equalJson,
  isObject,
  type JsonObject,
  objectOf,
  stringOf,
} from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';
import { compareQuantities } from '../validation/quantities.js';
import { persistentClaimSpecErrors } from '../validation/claim-errors.js';

/** The older field takes claims and snapshots only; anything else in it is ignored. */
function isKnownSource({ apiGroup, kind }: JsonObject): boolean {
  const group = stringOf(apiGroup);
  return (
    (kind === 'PersistentVolumeClaim' && group === '') ||
    (kind === 'VolumeSnapshot' && group === 'snapshot.storage.k8s.io')
  );
}

/** PersistentVolumeClaims. */
export const persistentVolumeClaimStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.volumeMode ??= 'Filesystem';
    if (isObject(spec.dataSource) && !isKnownSource(spec.dataSource)) delete spec.dataSource;
    // The two ways to name a source are kept alike.
    if (isObject(spec.dataSource) && spec.dataSourceRef === undefined)
      spec.dataSourceRef = cloneJson(spec.dataSource);
    else if (
      isObject(spec.dataSourceRef) &&
      spec.dataSource === undefined &&
      spec.dataSourceRef.namespace === undefined
    )
      spec.dataSource = cloneJson(spec.dataSourceRef);
    const status = objectOf(draft.status);
    status.phase ??= 'Pending';
    draft.status = status;
  },
  prepareCreate: (draft) => {
    draft.status = { phase: 'Pending' };
  },
  validate: (object) => {
    const checks = new Checks();
    persistentClaimSpecErrors(checks, object.spec, 'spec');
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const now = cloneJson(specOf(object));
    const before = cloneJson(specOf(old));
    // Binding names the volume once; a class may be filled in where there was none.
    if (before.volumeName === undefined) before.volumeName = now.volumeName;
    if (before.storageClassName === undefined) before.storageClassName = now.storageClassName;
    const size = objectOf(objectOf(now.resources).requests).storage;
    const oldSize = objectOf(objectOf(before.resources).requests).storage;
    if (objectOf(object.status).phase === 'Bound' && isObject(objectOf(now.resources).requests))
      objectOf(objectOf(now.resources).requests).storage = oldSize;
    if (!equalJson(now, before)) {
      checks.forbidden(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      );
    }
    if (
      compareQuantities(size, oldSize) < 0 &&
      compareQuantities(size, objectOf(objectOf(old.status).capacity).storage) <= 0
    )
      checks.forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity');
    checks.immutable(specOf(object).volumeMode, specOf(old).volumeMode, 'volumeMode');
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const status = objectOf(object.status);
    if (arrayOf(status.conditions).length > 0 && status.phase === undefined) checks.required('status.phase');
    for (const [name, amount] of Object.entries(objectOf(status.capacity)))
      if (compareQuantities(amount, '0') < 0)
        checks.invalid(`status.capacity[${name}]`, amount, 'must be greater than or equal to 0');
    return checks.errors;
  },
};
