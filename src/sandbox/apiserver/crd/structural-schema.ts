import { type FieldError, fieldError } from '../api-error.js';
import { arrayOf, isObject, type Json, objectOf, stringOf } from '../../base/json.js';
import { patternProblem } from '../schema/validate.js';
import { listTypeErrors } from './list-types.js';
import type { Place } from './schema-place.js';

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
/** Schemas nest; hostile ones without end. */
const depthMax = 100;
const combinators = ['allOf', 'anyOf', 'oneOf'] as const;

/**
 * Where a schema breaks the rules of OpenAPI schemas in definitions or those
 * for structural schemas, or cannot be evaluated here. Structure is looked at
 * only when the rest is right, as upstream.
 */
export function structuralErrors(json: Json | undefined, path: string): FieldError[] {
  if (!isObject(json)) return [];
  const root: Place = { schema: json, path, depth: 0 };
  const errors = schemaErrors(root, true);
  return errors.length > 0 ? errors : structureErrors(root, 'root');
}

/** The schemas directly below one, other than through combinators. */
function parts({ schema, path, depth }: Place): { place: Place; kind: 'field' | 'item' }[] {
  const out: { place: Place; kind: 'field' | 'item' }[] = [];
  const add = (value: Json | undefined, at: string, kind: 'field' | 'item'): void => {
    if (isObject(value)) out.push({ place: { schema: value, path: at, depth: depth + 1 }, kind });
  };
  for (const [key, v] of Object.entries(objectOf(schema.properties)))
    add(v, `${path}.properties[${key}]`, 'field');
  add(schema.additionalProperties, `${path}.additionalProperties`, 'field');
  add(schema.items, `${path}.items`, 'item');
  return out;
}

function combined({ schema, path, depth }: Place): Place[] {
  const out: Place[] = [];
  for (const key of combinators) {
    arrayOf(schema[key]).forEach((v, i) => {
      if (isObject(v)) out.push({ schema: v, path: `${path}.${key}[${i}]`, depth: depth + 1 });
    });
  }
  if (isObject(schema.not)) out.push({ schema: schema.not, path: `${path}.not`, depth: depth + 1 });
  return out;
}

function schemaErrors(place: Place, isRoot: boolean): FieldError[] {
  const { schema, path, depth } = place;
  if (depth > depthMax)
    return [fieldError.invalid(path, '', `schemas may nest at most ${depthMax} levels deep`)];
  const errors: FieldError[] = [];
  const type = stringOf(schema.type);
  if (type !== '' && !types.includes(type)) errors.push(fieldError.notSupported(`${path}.type`, type, types));
  if (schema.uniqueItems === true) {
    errors.push(
      fieldError.forbidden(
        `${path}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    );
  }
  const hasProperties = Object.keys(objectOf(schema.properties)).length > 0;
  if (hasProperties && schema.additionalProperties !== undefined && schema.additionalProperties !== false) {
    errors.push(
      fieldError.forbidden(
        `${path}.additionalProperties`,
        'additionalProperties and properties are mutual exclusive',
      ),
    );
  }
  if (stringOf(schema.$ref) !== '')
    errors.push(fieldError.forbidden(`${path}.$ref`, '$ref is not supported'));
  if (Array.isArray(schema.items)) {
    errors.push(fieldError.forbidden(`${path}.items`, 'items must be a schema object and not an array'));
  } else if (type === 'array' && schema.items === undefined) {
    errors.push(fieldError.required(`${path}.items`, 'must be specified'));
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    errors.push(
      fieldError.invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'),
    );
  }
  const pattern = typeof schema.pattern === 'string' ? patternProblem(schema.pattern) : undefined;
  if (pattern !== undefined) {
    errors.push(
      fieldError.invalid(
        `${path}.pattern`,
        schema.pattern,
        `must be a valid regular expression, but isn't: ${pattern}`,
      ),
    );
  }
  errors.push(...embeddedErrors(place, isRoot), ...mapTypeErrors(place), ...listTypeErrors(place));
  if (isRoot) errors.push(...metadataErrors(place));
  for (const below of parts(place)) errors.push(...schemaErrors(below.place, false));
  for (const below of combined(place)) errors.push(...schemaErrors(below, false));
  return errors;
}

function embeddedErrors({ schema, path }: Place, isRoot: boolean): FieldError[] {
  if (isRoot || schema['x-kubernetes-embedded-resource'] !== true) return [];
  const errors: FieldError[] = [];
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (!isOpen && Object.keys(objectOf(schema.properties)).length === 0) {
    errors.push(
      fieldError.required(
        `${path}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    );
  }
  const why = 'must be object if x-kubernetes-embedded-resource is true';
  const type = stringOf(schema.type);
  if (type === '') errors.push(fieldError.required(`${path}.type`, why));
  else if (type !== 'object') errors.push(fieldError.invalid(`${path}.type`, type, why));
  return errors;
}

function mapTypeErrors({ schema, path }: Place): FieldError[] {
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === undefined) return [];
  const errors: FieldError[] = [];
  if (mapType !== 'atomic' && mapType !== 'granular') {
    errors.push(fieldError.notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']));
  }
  if (schema.type !== 'object') {
    errors.push(
      fieldError.invalid(
        `${path}.type`,
        stringOf(schema.type),
        'must be object if x-kubernetes-map-type is specified',
      ),
    );
  }
  return errors;
}

function metadataErrors({ schema, path }: Place): FieldError[] {
  const metadata = objectOf(schema.properties).metadata;
  if (!isObject(metadata)) return [];
  const { type: _t, description: _d, properties, ...rest } = metadata;
  const isPlain =
    Object.keys(rest).length === 0 &&
    Object.keys(objectOf(properties)).every((key) => key === 'name' || key === 'generateName');
  return isPlain
    ? []
    : [
        fieldError.forbidden(
          `${path}.properties[metadata]`,
          'must not specify anything other than name and generateName, but metadata is implicitly specified',
        ),
      ];
}

type Level = 'root' | 'field' | 'item';

const untyped: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  field: 'must not be empty for specified object fields',
  item: 'must not be empty for specified array items',
};

function structureErrors(place: Place, level: Level): FieldError[] {
  const { schema, path } = place;
  const errors: FieldError[] = [];
  const isFree =
    level !== 'root' &&
    (schema['x-kubernetes-int-or-string'] === true ||
      schema['x-kubernetes-preserve-unknown-fields'] === true);
  const type = stringOf(schema.type);
  if (type === '' && !isFree) errors.push(fieldError.required(`${path}.type`, untyped[level]));
  if (level === 'root' && type !== '' && type !== 'object') {
    errors.push(fieldError.invalid(`${path}.type`, type, 'must be object at the root'));
  }
  for (const { place: below, kind } of parts(place)) errors.push(...structureErrors(below, kind));
  for (const below of combined(place)) {
    errors.push(...combinatorErrors(below, schema['x-kubernetes-int-or-string'] === true));
  }
  return errors;
}

/** Inside combinators only values are constrained: structure is said outside. */
function combinatorErrors(place: Place, isIntOrString: boolean): FieldError[] {
  const { schema, path } = place;
  const errors: FieldError[] = [];
  const mayHaveType = isIntOrString && (schema.type === 'integer' || schema.type === 'string');
  if (stringOf(schema.type) !== '' && !mayHaveType) {
    errors.push(fieldError.forbidden(`${path}.type`, 'must be empty to be structural'));
  }
  if (stringOf(schema.title) !== '')
    errors.push(fieldError.forbidden(`${path}.title`, 'must be empty to be structural'));
  if (stringOf(schema.description) !== '') {
    errors.push(fieldError.forbidden(`${path}.description`, 'must be empty to be structural'));
  }
  for (const key of ['default', 'additionalProperties'] as const) {
    if (schema[key] !== undefined) {
      errors.push(fieldError.forbidden(`${path}.${key}`, 'must be undefined to be structural'));
    }
  }
  for (const key of ['nullable', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource']) {
    if (schema[key] === true)
      errors.push(fieldError.forbidden(`${path}.${key}`, 'must be false to be structural'));
  }
  for (const { place: below } of parts(place)) errors.push(...combinatorErrors(below, false));
  for (const below of combined(place)) errors.push(...combinatorErrors(below, isIntOrString));
  return errors;
}
