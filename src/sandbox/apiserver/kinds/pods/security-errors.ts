import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { at, type Checks, isUnset } from '../validation/checks.js';

const idMax = 2 ** 31 - 1;
const sysctlName = /^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/;
const sysctlNameMax = 253;

function idErrors(checks: Checks, value: Json | undefined, path: string): void {
  const id = numberOf(value);
  if (id !== undefined && (id < 0 || id > idMax))
    checks.invalid(path, id, `must be between 0 and ${idMax}, inclusive`);
}

/** A seccomp or AppArmor profile. */
function profileErrors(checks: Checks, profile: Json | undefined, path: string): void {
  if (!isObject(profile)) return;
  checks.requiredOneOf(
    profile.type,
    at(path, 'type'),
    ['Localhost', 'RuntimeDefault', 'Unconfined'],
    'type is required when profile is set',
  );
  const isLocal = profile.type === 'Localhost';
  if (isLocal && isUnset(profile.localhostProfile))
    checks.required(at(path, 'localhostProfile'), 'must be set when type is Localhost');
  if (!isLocal && profile.localhostProfile !== undefined) {
    checks.invalid(
      at(path, 'localhostProfile'),
      profile.localhostProfile,
      'can only be set when type is Localhost',
    );
  }
}

function sysctlErrors(checks: Checks, context: JsonObject, path: string, spec: JsonObject): void {
  const seen = new Set<string>();
  checks.each(context.sysctls, at(path, 'sysctls'), (sysctl, where) => {
    const name = stringOf(sysctl.name);
    const namePath = at(where, 'name');
    if (name === '') checks.required(namePath);
    else if (name.length > sysctlNameMax || !sysctlName.test(name)) {
      checks.invalid(
        namePath,
        name,
        `must have at most ${sysctlNameMax} characters and match regex ${sysctlName.source}`,
      );
    } else if (seen.has(name)) checks.duplicate(namePath, name);
    seen.add(name);
    if (spec.hostNetwork === true && name.startsWith('net.'))
      checks.invalid(namePath, name, "may not be specified when 'hostNetwork' is true");
    if (spec.hostIPC === true && /^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue\.)/.test(name))
      checks.invalid(namePath, name, "may not be specified when 'hostIPC' is true");
  });
}

/** What a whole pod runs as. */
export function podSecurityErrors(checks: Checks, spec: JsonObject, path: string): void {
  const context = objectOf(spec.securityContext);
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    checks.invalid(
      at(path, 'shareProcessNamespace'),
      true,
      'ShareProcessNamespace and HostPID cannot both be enabled',
    );
  }
  for (const key of ['fsGroup', 'runAsUser', 'runAsGroup']) idErrors(checks, context[key], at(path, key));
  if (Array.isArray(context.supplementalGroups)) {
    context.supplementalGroups.forEach((group, i) => {
      idErrors(checks, group, `${at(path, 'supplementalGroups')}[${i}]`);
    });
  }
  sysctlErrors(checks, context, path, spec);
  if (!isUnset(context.fsGroupChangePolicy))
    checks.oneOf(context.fsGroupChangePolicy, at(path, 'fsGroupChangePolicy'), ['Always', 'OnRootMismatch']);
  profileErrors(checks, context.seccompProfile, at(path, 'seccompProfile'));
  profileErrors(checks, context.appArmorProfile, at(path, 'appArmorProfile'));
}

/** What one container runs as. */
export function containerSecurityErrors(checks: Checks, value: Json | undefined, path: string): void {
  if (!isObject(value)) return;
  for (const key of ['runAsUser', 'runAsGroup']) idErrors(checks, value[key], at(path, key));
  profileErrors(checks, value.seccompProfile, at(path, 'seccompProfile'));
  profileErrors(checks, value.appArmorProfile, at(path, 'appArmorProfile'));
  if (value.allowPrivilegeEscalation !== false) return;
  if (value.privileged === true)
    checks.invalid(path, value, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true');
  if (stringsOf(objectOf(value.capabilities).add).includes('CAP_SYS_ADMIN')) {
    checks.invalid(
      path,
      value,
      'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
    );
  }
}
