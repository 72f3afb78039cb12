import { type FieldError, fieldError } from '../api-error.js';
import { isObject, type Json, objectOf, stringOf, stringsOf } from '../../base/json.js';
import type { Place } from './schema-place.js';

/** Problems of x-kubernetes-list-type and of what it asks of the items. */
export function listTypeErrors(place: Place): FieldError[] {
  const { schema, path } = place;
  const listType = schema['x-kubernetes-list-type'];
  const keys = stringsOf(schema['x-kubernetes-list-map-keys']);
  const keysPath = `${path}.x-kubernetes-list-map-keys`;
  const errors: FieldError[] = [];
  if (listType !== undefined) {
    if (listType !== 'atomic' && listType !== 'set' && listType !== 'map') {
      errors.push(
        fieldError.notSupported(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']),
      );
    }
    if (schema.type !== 'array') {
      const why = 'must be array if x-kubernetes-list-type is specified';
      const type = stringOf(schema.type);
      errors.push(
        type === ''
          ? fieldError.required(`${path}.type`, why)
          : fieldError.invalid(`${path}.type`, type, why),
      );
    }
  }
  if (listType !== 'map' && keys.length > 0) {
    const why = 'must be map if x-kubernetes-list-map-keys is non-empty';
    const at = `${path}.x-kubernetes-list-type`;
    errors.push(
      listType === undefined ? fieldError.required(at, why) : fieldError.invalid(at, listType, why),
    );
  }
  if (listType === 'map' && keys.length === 0) {
    errors.push(fieldError.required(keysPath, 'must not be empty if x-kubernetes-list-type is map'));
  } else if (listType === 'map') errors.push(...mapListErrors(place, keys));
  else if (listType === 'set') errors.push(...setErrors(place));
  return errors;
}

function mapListErrors({ schema, path }: Place, keys: readonly string[]): FieldError[] {
  if (!isObject(schema.items)) return [];
  const errors: FieldError[] = [];
  const { items } = schema;
  const properties = objectOf(items.properties);
  if (items.type !== 'object') {
    errors.push(
      fieldError.invalid(
        `${path}.items.type`,
        stringOf(items.type),
        "must be object if parent array's x-kubernetes-list-type is map",
      ),
    );
  }
  const keysPath = `${path}.x-kubernetes-list-map-keys`;
  const goList = `[]string{${keys.map((k) => JSON.stringify(k)).join(', ')}}`;
  const wrongKeys = (why: string): FieldError => ({
    reason: 'FieldValueInvalid',
    field: keysPath,
    message: `Invalid value: ${goList}: ${why}`,
  });
  if (keys.some((k) => !Object.hasOwn(properties, k))) {
    errors.push(wrongKeys('entries must all be names of item properties'));
  }
  if (new Set(keys).size < keys.length) errors.push(wrongKeys('must not contain duplicate entries'));
  const required = stringsOf(items.required);
  for (const key of keys) {
    const property = objectOf(properties[key]);
    const at = `${path}.items.properties[${key}]`;
    if (!Object.hasOwn(properties, key)) continue;
    if (property.type === 'array' || property.type === 'object') {
      errors.push(
        fieldError.invalid(
          `${at}.type`,
          property.type,
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
      );
    }
    if (property.default === undefined && !required.includes(key)) {
      errors.push(
        fieldError.required(
          `${at}.default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        ),
      );
    }
    if (property.nullable === true) {
      errors.push(
        fieldError.forbidden(
          `${at}.nullable`,
          'this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
        ),
      );
    }
  }
  return errors;
}

function setErrors({ schema, path }: Place): FieldError[] {
  const items = objectOf(schema.items);
  const errors: FieldError[] = [];
  const shown = (value: Json | undefined): string => (typeof value === 'string' ? value : 'null');
  if (items.nullable === true) {
    errors.push(
      fieldError.forbidden(`${path}.items.nullable`, 'cannot be nullable when x-kubernetes-list-type is set'),
    );
  }
  const why = 'must be atomic as item of a list with x-kubernetes-list-type=set';
  if (items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic') {
    errors.push(
      fieldError.invalid(`${path}.items.x-kubernetes-map-type`, shown(items['x-kubernetes-map-type']), why),
    );
  }
  const listType = items['x-kubernetes-list-type'];
  if (items.type === 'array' && listType !== undefined && listType !== 'atomic') {
    errors.push(fieldError.invalid(`${path}.items.x-kubernetes-list-type`, shown(listType), why));
  }
  return errors;
}
