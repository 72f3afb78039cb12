import { type FieldError, fieldError } from '../http/api-error.js';
import { equalJson, isObject, type Json, type JsonObject, objectOf, stringMapOf, stringOf } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Strategy } from '../registry/resource.js';

const dataKey = /^[-._a-zA-Z0-9]+$/;
const maxBytes = 1024 * 1024;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function dataErrors(object: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const field of ['data', 'binaryData']) {
    for (const [key, value] of Object.entries(objectOf(object[field]))) {
      if (!dataKey.test(key) || key === '.' || key === '..' || key.length > 253) {
        errors.push(
          fieldError.invalid(
            `${field}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
          ),
        );
      }
      const text = stringOf(value);
      const isEncoded = object.kind === 'Secret' || field === 'binaryData';
      if (isEncoded && !base64.test(text.replace(/\s/g, ''))) {
        errors.push(fieldError.invalid(`${field}[${key}]`, '<hidden>', 'must be base64 encoded'));
      }
      size += text.length;
    }
  }
  if (size > maxBytes * 1.4) errors.push(fieldError.tooLong('data', maxBytes));
  return errors;
}

function immutableErrors(object: KubeObject, old: KubeObject): FieldError[] {
  if (old.immutable !== true) return [];
  const errors: FieldError[] = [];
  if (object.immutable !== true)
    errors.push(fieldError.forbidden('immutable', 'field is immutable when `immutable` is set'));
  for (const field of ['data', 'binaryData'] as const) {
    if (!equalJson(object[field], old[field])) {
      errors.push(fieldError.forbidden(field, 'field is immutable when `immutable` is set'));
    }
  }
  return errors;
}

/** stringData is written in the clear and stored encoded. */
function encodeStringData(secret: KubeObject): void {
  const { stringData } = secret;
  if (!isObject(stringData)) return;
  const data: JsonObject = { ...objectOf(secret.data) };
  for (const [key, value] of Object.entries(stringMapOf(stringData)))
    data[key] = Buffer.from(value).toString('base64');
  secret.data = data;
  delete secret.stringData;
}

const requiredKeys: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

/** ConfigMaps and Secrets. */
export const configurationStrategies: Readonly<Record<string, Strategy>> = {
  configmaps: { validate: dataErrors, validateUpdate: immutableErrors },
  secrets: {
    defaults: (draft) => {
      encodeStringData(draft);
      draft.type ??= 'Opaque';
    },
    validate: (secret) => {
      const errors = dataErrors(secret);
      for (const key of requiredKeys[stringOf(secret.type)] ?? []) {
        const value: Json | undefined = objectOf(secret.data)[key];
        if (value === undefined) errors.push(fieldError.required(`data[${key}]`));
      }
      return errors;
    },
    validateUpdate: (secret, old) => [
      ...immutableErrors(secret, old),
      ...(secret.type === old.type ? [] : [fieldError.invalid('type', secret.type, 'field is immutable')]),
    ],
  },
};
