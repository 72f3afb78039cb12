import { equalJson, isObject, type JsonObject, objectOf, stringMapOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Strategy } from '../../registry/resource.js';
import { configKey, configKeyDetail } from '../pods/env-errors.js';
import { Checks } from '../validation/checks.js';

const maxBytes = 1024 * 1024;
const keyMaxLength = 253;
const redacted = '<secret contents redacted>';

function keyErrors(checks: Checks, key: string, path: string): void {
  if (key.length > keyMaxLength) checks.invalid(path, key, `must be no more than ${keyMaxLength} characters`);
  if (!configKey.test(key)) checks.invalid(path, key, configKeyDetail);
  else if (key === '.' || key === '..') checks.invalid(path, key, `must not be '${key}'`);
  else if (key.startsWith('..')) checks.invalid(path, key, "must not start with '..'");
}

function decodedBytes(base64: string): number {
  return Buffer.byteLength(base64, 'base64');
}

function immutableErrors(object: ApiObject, old: ApiObject, fields: readonly string[]): Checks {
  const checks = new Checks();
  if (old.immutable !== true) return checks;
  const detail = 'field is immutable when `immutable` is set';
  if (object.immutable !== true) checks.forbidden('immutable', detail);
  for (const field of fields) {
    if (!equalJson(objectOf(object[field]), objectOf(old[field]))) checks.forbidden(field, detail);
  }
  return checks;
}

/** ConfigMaps. */
export const configMapStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    const data = stringMapOf(object.data);
    const binary = stringMapOf(object.binaryData);
    let size = 0;
    for (const [key, value] of Object.entries(data)) {
      keyErrors(checks, key, `data[${key}]`);
      if (Object.hasOwn(binary, key))
        checks.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData');
      size += Buffer.byteLength(value);
    }
    for (const [key, value] of Object.entries(binary)) {
      keyErrors(checks, key, `binaryData[${key}]`);
      size += decodedBytes(value);
    }
    if (size > maxBytes) checks.tooLong('', maxBytes);
    return checks.errors;
  },
  validateUpdate: (object, old) => immutableErrors(object, old, ['data', 'binaryData']).errors,
};

/** stringData is written in the clear and stored encoded. */
function encodeStringData(secret: ApiObject): void {
  const { stringData } = secret;
  if (!isObject(stringData)) return;
  const data: JsonObject = { ...objectOf(secret.data) };
  for (const [key, value] of Object.entries(stringMapOf(stringData)))
    data[key] = Buffer.from(value).toString('base64');
  secret.data = data;
  delete secret.stringData;
}

function isJsonObject(base64: string): boolean {
  try {
    return isObject(JSON.parse(Buffer.from(base64, 'base64').toString('utf8')));
  } catch {
    // Not JSON at all: the caller reports it.
    return false;
  }
}

/** What secrets of the types that Kubernetes knows must hold. */
function typeErrors(checks: Checks, secret: ApiObject): void {
  const data = stringMapOf(secret.data);
  const required = (...keys: string[]): void => {
    for (const key of keys) if (data[key] === undefined) checks.required(`data[${key}]`);
  };
  const dockerConfig = (key: string): void => {
    required(key);
    if (data[key] !== undefined && !isJsonObject(data[key]))
      checks.invalid(`data[${key}]`, redacted, 'the content is not a JSON object');
  };
  switch (secret.type) {
    case 'kubernetes.io/service-account-token': {
      const key = 'kubernetes.io/service-account.name';
      if ((secret.metadata.annotations?.[key] ?? '') === '') checks.required(`metadata.annotations[${key}]`);
      break;
    }
    case 'kubernetes.io/dockercfg':
      dockerConfig('.dockercfg');
      break;
    case 'kubernetes.io/dockerconfigjson':
      dockerConfig('.dockerconfigjson');
      break;
    case 'kubernetes.io/basic-auth':
      if (data.username === undefined && data.password === undefined) required('username', 'password');
      break;
    case 'kubernetes.io/ssh-auth':
      if (stringOf(data['ssh-privatekey']) === '') checks.required('data[ssh-privatekey]');
      break;
    case 'kubernetes.io/tls':
      required('tls.crt', 'tls.key');
      break;
    default:
  }
}

/** Secrets. */
export const secretStrategy: Strategy = {
  defaults: (draft) => {
    encodeStringData(draft);
    draft.type ??= 'Opaque';
  },
  validate: (object) => {
    const checks = new Checks();
    let size = 0;
    for (const [key, value] of Object.entries(stringMapOf(object.data))) {
      keyErrors(checks, key, `data[${key}]`);
      size += decodedBytes(value);
    }
    if (size > maxBytes) checks.tooLong('data', maxBytes);
    typeErrors(checks, object);
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.type, old.type, 'type');
    checks.errors.push(...immutableErrors(object, old, ['data']).errors);
    return checks.errors;
  },
};
