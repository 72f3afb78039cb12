import { equalJson, isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import { timestamp } from '../../../base/timestamp.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { csiErrors, hostPathErrors, nfsErrors, volumeSources } from '../pods/volume-errors.js';
import { at, Checks, isUnset } from '../validation/checks.js';
import { nodeSelector } from '../validation/selectors.js';
import { accessModeErrors, positiveAmount, volumeModes } from '../validation/claim-errors.js';

const sources = ['hostPath', ...volumeSources.filter((s) => s !== 'hostPath'), 'local'];
const reclaimPolicies = ['Delete', 'Recycle', 'Retain'];

function sourcesOf(spec: JsonObject): string[] {
  return sources.filter((s) => isObject(spec[s]));
}

function sourceErrors(checks: Checks, spec: JsonObject): void {
  const given = sourcesOf(spec);
  if (given.length === 0) checks.required('spec', 'must specify a volume type');
  given.forEach((kind, i) => {
    const source = objectOf(spec[kind]);
    const path = `spec.${kind}`;
    if (i > 0) checks.forbidden(path, 'may not specify more than 1 volume type');
    else if (kind === 'hostPath') hostPathErrors(checks, source, path);
    else if (kind === 'nfs') nfsErrors(checks, source, path);
    else if (kind === 'csi') {
      csiErrors(checks, source, path);
      if (isUnset(source.volumeHandle)) checks.required(at(path, 'volumeHandle'));
    } else if (kind === 'local') {
      if (isUnset(source.path)) checks.required(at(path, 'path'));
      else if (stringOf(source.path).split('/').includes('..'))
        checks.invalid(at(path, 'path'), source.path, "must not contain '..'");
      const terms = objectsOf(objectOf(objectOf(spec.nodeAffinity).required).nodeSelectorTerms);
      if (terms.length === 0) checks.required('spec.nodeAffinity', 'Local volume requires node affinity');
    }
  });
  const isRoot = stringOf(objectOf(spec.hostPath).path).replace(/\/+$/, '') === '' && isObject(spec.hostPath);
  if (isRoot && spec.persistentVolumeReclaimPolicy === 'Recycle')
    checks.forbidden(
      'spec.persistentVolumeReclaimPolicy',
      "may not be 'recycle' for a hostPath mount of '/'",
    );
}

/** PersistentVolumes. */
export const persistentVolumeStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.persistentVolumeReclaimPolicy ??= 'Retain';
    spec.volumeMode ??= 'Filesystem';
    if (isObject(spec.hostPath)) spec.hostPath.type ??= '';
    const status = objectOf(draft.status);
    status.phase ??= 'Pending';
    draft.status = status;
  },
  prepareCreate: (draft) => {
    draft.status = { phase: 'Pending', lastPhaseTransitionTime: timestamp() };
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    accessModeErrors(checks, spec.accessModes, 'spec.accessModes');
    const capacity = objectOf(spec.capacity);
    const names = Object.keys(capacity);
    if (names.length === 0) checks.required('spec.capacity');
    if (names.length !== 1 || names[0] !== 'storage')
      checks.notSupported('spec.capacity', capacity, ['storage']);
    for (const name of names) positiveAmount(checks, capacity[name], `spec.capacity[${name}]`);
    checks.oneOf(spec.persistentVolumeReclaimPolicy, 'spec.persistentVolumeReclaimPolicy', reclaimPolicies);
    const required = objectOf(spec.nodeAffinity).required;
    if (isObject(spec.nodeAffinity)) {
      if (isObject(required)) nodeSelector(checks, required, 'spec.nodeAffinity.required');
      else checks.required('spec.nodeAffinity.required', 'must specify required node constraints');
    }
    sourceErrors(checks, spec);
    if (!isUnset(spec.storageClassName))
      checks.name(spec.storageClassName, 'spec.storageClassName', 'subdomain');
    if (spec.volumeMode !== undefined) checks.oneOf(spec.volumeMode, 'spec.volumeMode', volumeModes);
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const now = specOf(object);
    const before = specOf(old);
    if (sources.some((s) => !equalJson(now[s], before[s]))) {
      checks.forbidden(
        'spec.persistentvolumesource',
        'spec.persistentvolumesource is immutable after creation',
      );
    }
    checks.immutable(now.volumeMode, before.volumeMode, 'volumeMode');
    if (before.nodeAffinity !== undefined)
      checks.immutable(now.nodeAffinity, before.nodeAffinity, 'nodeAffinity');
    return checks.errors;
  },
};
