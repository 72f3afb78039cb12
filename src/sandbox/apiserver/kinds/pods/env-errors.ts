import { isObject, type Json, type JsonObject, stringOf } from '../../../base/json.js';
import { nameProblems, qualifiedNameProblems } from '../../registry/names.js';
import { at, type Checks, isUnset } from '../validation/checks.js';

/** Printable ASCII but '=': what a process's environment can carry. */
const envName = /^[ -<>-~]+$/;
const envNameDetail =
  "a valid environment variable name must consist only of printable ASCII characters other than '='";
export const configKey = /^[-._a-zA-Z0-9]+$/;
export const configKeyDetail =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const sources = ['configMapKeyRef', 'fieldRef', 'resourceFieldRef', 'secretKeyRef'];
const envFields = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
const volumeFields = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];
/** Fields that the pod API can name at all. */
const podFields: ReadonlySet<string> = new Set([
  ...envFields,
  ...volumeFields,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);
const resourceNames = ['cpu', 'ephemeral-storage', 'memory'];
const envResources = ['limits', 'requests'].flatMap((k) => resourceNames.map((r) => `${k}.${r}`));

/** A field of the pod, in the environment or in a downward API volume. */
export function fieldRefErrors(
  checks: Checks,
  ref: JsonObject,
  path: string,
  use: 'environment' | 'volume',
): void {
  const fieldPath = stringOf(ref.fieldPath);
  const where = at(path, 'fieldPath');
  if (isUnset(ref.apiVersion)) checks.required(at(path, 'apiVersion'));
  if (fieldPath === '') {
    checks.required(where);
    return;
  }
  const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/.exec(fieldPath);
  if (subscript !== null) {
    const key = subscript[2] ?? '';
    const text = subscript[1] === 'metadata.annotations' ? key.toLowerCase() : key;
    for (const problem of qualifiedNameProblems(text)) checks.invalid(path, key, problem);
    return;
  }
  if (!podFields.has(fieldPath)) {
    checks.invalid(where, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`);
    return;
  }
  const supported = use === 'environment' ? envFields : volumeFields;
  if (!supported.includes(fieldPath)) checks.notSupported(where, fieldPath, supported);
}

/** A resource of a container. */
export function resourceFieldErrors(
  checks: Checks,
  ref: JsonObject,
  path: string,
  use: 'environment' | 'volume',
): void {
  const resource = stringOf(ref.resource);
  const isHugePages = /^(?:limits|requests)\.hugepages-/.test(resource);
  if (use === 'volume' && isUnset(ref.containerName)) checks.required(at(path, 'containerName'));
  else if (resource === '') checks.required(at(path, 'resource'));
  else if (!envResources.includes(resource) && !isHugePages)
    checks.notSupported(at(path, 'resource'), resource, envResources);
}

function keyRefErrors(checks: Checks, ref: JsonObject, path: string): void {
  for (const problem of nameProblems(stringOf(ref.name), 'subdomain'))
    checks.invalid(at(path, 'name'), ref.name ?? '', problem);
  if (isUnset(ref.key)) checks.required(at(path, 'key'));
  else if (!configKey.test(stringOf(ref.key))) checks.invalid(at(path, 'key'), ref.key, configKeyDetail);
}

function valueFromErrors(checks: Checks, env: JsonObject, from: JsonObject, path: string): void {
  const given = sources.filter((s) => isObject(from[s]));
  if (given.length === 0) {
    checks.invalid(
      path,
      '',
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
    );
  } else if (!isUnset(env.value)) checks.invalid(path, '', 'may not be specified when `value` is not empty');
  else if (given.length > 1) checks.invalid(path, '', 'may not have more than one field specified at a time');
  checks.within(from.fieldRef, at(path, 'fieldRef'), (ref, p) => {
    fieldRefErrors(checks, ref, p, 'environment');
  });
  checks.within(from.resourceFieldRef, at(path, 'resourceFieldRef'), (ref, p) => {
    resourceFieldErrors(checks, ref, p, 'environment');
  });
  for (const kind of ['configMapKeyRef', 'secretKeyRef']) {
    checks.within(from[kind], at(path, kind), (ref, p) => {
      keyRefErrors(checks, ref, p);
    });
  }
}

/** Environment variables of a container, one by one. */
export function envErrors(checks: Checks, list: Json | undefined, path: string): void {
  checks.each(list, path, (env, envPath) => {
    if (isUnset(env.name)) checks.required(at(envPath, 'name'));
    else if (!envName.test(stringOf(env.name))) checks.invalid(at(envPath, 'name'), env.name, envNameDetail);
    if (isObject(env.valueFrom)) valueFromErrors(checks, env, env.valueFrom, at(envPath, 'valueFrom'));
  });
}

/** Environment taken over from ConfigMaps and Secrets as a whole. */
export function envFromErrors(checks: Checks, list: Json | undefined, path: string): void {
  checks.each(list, path, (source, sourcePath) => {
    if (!isUnset(source.prefix) && !envName.test(stringOf(source.prefix)))
      checks.invalid(at(sourcePath, 'prefix'), source.prefix, envNameDetail);
    const given = ['configMapRef', 'secretRef'].filter((k) => isObject(source[k]));
    for (const kind of given) {
      const ref = source[kind];
      if (isObject(ref)) checks.requiredName(ref.name, at(sourcePath, `${kind}.name`), 'subdomain');
    }
    // Reported at the list: so does Kubernetes.
    if (given.length === 0) checks.invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`');
    else if (given.length > 1)
      checks.invalid(path, '', 'may not have more than one field specified at a time');
  });
}
