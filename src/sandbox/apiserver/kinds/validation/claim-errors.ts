import { isObject, type Json, type JsonObject, objectOf, stringOf, stringsOf } from '../../../base/json.js';
import { at, type Checks, isUnset } from './checks.js';
import { compareQuantities, resourceAmount } from './quantities.js';
import { labelSelector } from './selectors.js';

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
export const volumeModes = ['Block', 'Filesystem'];

/** Access modes of claims and volumes. */
export function accessModeErrors(checks: Checks, value: Json | undefined, path: string, detail = ''): void {
  const modes = stringsOf(value);
  if (modes.length === 0) checks.required(path, detail);
  for (const mode of modes) if (!accessModes.includes(mode)) checks.notSupported(path, mode, accessModes);
  const others = modes.filter((m) => m !== 'ReadWriteOncePod' && accessModes.includes(m));
  if (modes.includes('ReadWriteOncePod') && others.length > 0)
    checks.forbidden(path, 'may not use ReadWriteOncePod with other access modes');
}

/** More than nothing. */
export function positiveAmount(checks: Checks, value: Json | undefined, path: string): boolean {
  if (compareQuantities(value, '0') > 0) return true;
  checks.invalid(path, value, 'must be greater than zero');
  return false;
}

function dataSourceErrors(checks: Checks, source: Json | undefined, path: string): void {
  if (!isObject(source)) return;
  for (const key of ['name', 'kind']) if (isUnset(source[key])) checks.required(at(path, key));
  const group = stringOf(source.apiGroup);
  if (group === '' && source.kind !== 'PersistentVolumeClaim')
    checks.invalid(
      path,
      source.kind ?? '',
      "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
    );
  if (group !== '') checks.name(group, at(path, 'apiGroup'), 'subdomain');
}

/** The spec of a claim, its own or as part of a template. */
export function persistentClaimSpecErrors(checks: Checks, value: Json | undefined, path: string): void {
  const spec: JsonObject = objectOf(value);
  accessModeErrors(checks, spec.accessModes, at(path, 'accessModes'), 'at least 1 access mode is required');
  labelSelector(checks, spec.selector, at(path, 'selector'));
  const storage = objectOf(objectOf(spec.resources).requests).storage;
  const storagePath = `${at(path, 'resources')}[storage]`;
  if (storage === undefined) checks.required(storagePath);
  else if (positiveAmount(checks, storage, storagePath))
    resourceAmount(checks, 'storage', storage, storagePath);
  if (!isUnset(spec.storageClassName))
    checks.name(spec.storageClassName, at(path, 'storageClassName'), 'subdomain');
  if (spec.volumeMode !== undefined) checks.oneOf(spec.volumeMode, at(path, 'volumeMode'), volumeModes);
  for (const key of ['dataSource', 'dataSourceRef']) dataSourceErrors(checks, spec[key], at(path, key));
}
