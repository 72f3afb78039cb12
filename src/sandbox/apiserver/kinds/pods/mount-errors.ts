import { isObject, type Json, type JsonObject, stringOf } from '../../../base/json.js';
import { at, type Checks, isUnset } from '../validation/checks.js';
import { localPathErrors } from './volume-errors.js';

type Volumes = ReadonlyMap<string, JsonObject>;

/** Where a container mounts the pod's volumes. */
export function mountErrors(checks: Checks, container: JsonObject, path: string, volumes: Volumes): void {
  const mounts = at(path, 'volumeMounts');
  const seen = new Set<string>();
  const isPrivileged = isObject(container.securityContext) && container.securityContext.privileged === true;
  checks.each(container.volumeMounts, mounts, (mount, where) => {
    const name = stringOf(mount.name);
    const mountPath = stringOf(mount.mountPath);
    if (name === '') checks.required(at(where, 'name'));
    if (mountPath === '') checks.required(at(where, 'mountPath'));
    if (seen.has(mountPath)) checks.invalid(at(where, 'mountPath'), mountPath, 'must be unique');
    seen.add(mountPath);
    if (!volumes.has(name)) checks.notFound(at(where, 'name'), name);
    if (!isUnset(mount.subPath)) localPathErrors(checks, mount.subPath, at(mounts, 'subPath'));
    if (!isUnset(mount.subPathExpr)) {
      if (!isUnset(mount.subPath)) {
        checks.invalid(
          at(where, 'subPathExpr'),
          mount.subPathExpr,
          'subPathExpr and subPath are mutually exclusive',
        );
      }
      localPathErrors(checks, mount.subPathExpr, at(mounts, 'subPathExpr'));
    }
    propagationErrors(checks, mount.mountPropagation, at(mounts, 'mountPropagation'), isPrivileged);
  });
  deviceErrors(checks, container.volumeDevices, at(path, 'volumeDevices'), volumes, seen);
}

function propagationErrors(
  checks: Checks,
  propagation: Json | undefined,
  path: string,
  isPrivileged: boolean,
): void {
  if (isUnset(propagation)) return;
  checks.oneOf(propagation, path, ['Bidirectional', 'HostToContainer', 'None']);
  if (propagation === 'Bidirectional' && !isPrivileged)
    checks.forbidden(path, 'Bidirectional mount propagation is available only to privileged containers');
}

function deviceErrors(
  checks: Checks,
  devices: Json | undefined,
  path: string,
  volumes: Volumes,
  mounted: ReadonlySet<string>,
): void {
  const paths = new Set<string>();
  const names = new Set<string>();
  checks.each(devices, path, (device, where) => {
    const name = stringOf(device.name);
    const devicePath = stringOf(device.devicePath);
    if (name === '') checks.required(at(where, 'name'));
    if (names.has(name)) checks.invalid(at(where, 'name'), name, 'must be unique');
    names.add(name);
    if (devicePath === '') checks.required(at(where, 'devicePath'));
    if (paths.has(devicePath)) checks.invalid(at(where, 'devicePath'), devicePath, 'must be unique');
    if (mounted.has(devicePath))
      checks.invalid(at(where, 'devicePath'), devicePath, 'must not already exist in volumeMounts');
    paths.add(devicePath);
    const volume = volumes.get(name);
    if (volume === undefined) checks.notFound(at(where, 'name'), name);
    else if (!isObject(volume.persistentVolumeClaim) && !isObject(volume.ephemeral)) {
      checks.invalid(
        at(where, 'name'),
        name,
        'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      );
    }
  });
}
