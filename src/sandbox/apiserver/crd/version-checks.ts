import { type FieldError, fieldError } from '../api-error.js';
import { isObject, type Json, type JsonObject, objectOf, objectsOf, stringOf } from '../../base/json.js';
import { parseJsonPath } from '../printing/json-path.js';
import type { Schema } from '../schema/schema.js';
import { simplePath } from './crd-schema.js';

const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];
const columnFormats = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const selectableMax = 8;
const warningMaxLength = 256;

/** Problems of the printer columns of a version. */
export function columnErrors(columns: Json | undefined, at: string): FieldError[] {
  return objectsOf(columns).flatMap((column, i) => {
    const path = `${at}[${i}]`;
    const errors: FieldError[] = [];
    if (stringOf(column.name) === '') errors.push(fieldError.required(`${path}.name`));
    const type = stringOf(column.type);
    if (type === '')
      errors.push(fieldError.required(`${path}.type`, `must be one of ${columnTypes.join(',')}`));
    else if (!columnTypes.includes(type)) {
      errors.push(fieldError.invalid(`${path}.type`, type, `must be one of ${columnTypes.join(',')}`));
    }
    const format = stringOf(column.format);
    if (format !== '' && !columnFormats.includes(format)) {
      errors.push(fieldError.invalid(`${path}.format`, format, `must be one of ${columnFormats.join(',')}`));
    }
    const jsonPath = stringOf(column.jsonPath);
    if (jsonPath === '') errors.push(fieldError.required(`${path}.JSONPath`));
    else if (!jsonPath.startsWith('.') || parseJsonPath(jsonPath) === undefined) {
      errors.push(
        fieldError.invalid(`${path}.JSONPath`, jsonPath, 'must be a simple json path starting with .'),
      );
    }
    return errors;
  });
}

/** Problems of the scale subresource of a version. */
export function scaleErrors(subresources: Json | undefined, at: string): FieldError[] {
  const { scale } = objectOf(subresources);
  if (!isObject(scale)) return [];
  const check = (key: string, roots: readonly string[], isRequired: boolean): FieldError[] => {
    const path = stringOf(scale[key]);
    const field = `${at}.scale.${key}`;
    if (path === '') return isRequired ? [fieldError.required(field)] : [];
    return roots.some((root) => path.startsWith(`${root}.`)) ? [] : [under(field, path, roots)];
  };
  return [
    ...check('specReplicasPath', ['.spec'], true),
    ...check('statusReplicasPath', ['.status'], true),
    ...check('labelSelectorPath', ['.spec', '.status'], false),
  ];
}

function under(field: string, path: string, roots: readonly string[]): FieldError {
  return fieldError.invalid(field, path, `should be a json path under ${roots.join(' or ')}`);
}

/** Problems of the fields that field selectors may name. */
export function selectableErrors(fields: Json | undefined, at: string, schema: Schema): FieldError[] {
  const list = objectsOf(fields);
  const errors: FieldError[] = [];
  if (list.length > selectableMax) errors.push(fieldError.tooMany(at, list.length, selectableMax));
  const seen = new Set<string>();
  list.forEach((field, i) => {
    const path = `${at}[${i}].jsonPath`;
    const jsonPath = stringOf(field.jsonPath);
    if (jsonPath === '') errors.push(fieldError.required(path));
    else {
      const found = jsonPath.startsWith('.metadata.') ? undefined : schemaAt(schema, simplePath(jsonPath));
      if (found === undefined) {
        errors.push(
          fieldError.invalid(path, jsonPath, 'is an invalid path: does not refer to a valid field'),
        );
      } else if (found.type !== 'string' && found.type !== 'boolean' && found.type !== 'integer') {
        errors.push(
          fieldError.invalid(
            path,
            jsonPath,
            'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
          ),
        );
      }
      if (seen.has(jsonPath)) errors.push(fieldError.duplicate(path, jsonPath));
      seen.add(jsonPath);
    }
  });
  return errors;
}

function schemaAt(schema: Schema, path: readonly string[]): Schema | undefined {
  let current: Schema | undefined = schema;
  for (const step of path) {
    const properties: Schema['properties'] = current?.properties;
    current = properties !== undefined && Object.hasOwn(properties, step) ? properties[step] : undefined;
  }
  return current;
}

/** Problems of the deprecation of a version. */
export function deprecationErrors(version: JsonObject, at: string): FieldError[] {
  const { deprecationWarning: warning } = version;
  if (typeof warning !== 'string') return [];
  const path = `${at}.deprecationWarning`;
  if (version.deprecated !== true) {
    return [fieldError.invalid(path, warning, 'can only be set for deprecated versions')];
  }
  if (warning === '') return [fieldError.invalid(path, warning, 'must not be an empty string')];
  if (warning.length > warningMaxLength) {
    return [fieldError.invalid(path, warning, `must be <= ${warningMaxLength} characters long`)];
  }
  return /\p{Cc}/u.test(warning)
    ? [
        fieldError.invalid(
          path,
          warning,
          'must only contain printable UTF-8 characters; non-printable character found',
        ),
      ]
    : [];
}
