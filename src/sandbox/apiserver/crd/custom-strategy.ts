import { type FieldError, fieldError } from '../api-error.js';
import type { ApiObject } from '../object.js';
import type { Strategy } from '../registry/resource.js';
import type { Schema } from '../schema/schema.js';
import { validateSchema } from '../schema/validate.js';
import { celErrors } from './cel-rules.js';

/** Errors after which rules could not rely on what the schema says. */
const blocking: ReadonlySet<string> = new Set([
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueNotSupported',
  'FieldValueTypeInvalid',
]);

function hasRules(schema: Schema): boolean {
  const { properties, items, additionalProperties: extra } = schema;
  return (
    (schema.rules?.length ?? 0) > 0 ||
    Object.values(properties ?? {}).some(hasRules) ||
    (items !== undefined && hasRules(items)) ||
    (typeof extra === 'object' && hasRules(extra))
  );
}

/** Validation of custom objects: their schema first, then its rules. */
export function strategyFor(schema: Schema): Strategy {
  const isRuled = hasRules(schema);
  const check = (object: ApiObject, old: ApiObject | undefined, warnings?: string[]): FieldError[] => {
    const errors = validateSchema(object, schema, '', old);
    if (!isRuled) return errors;
    if (!errors.some((e) => blocking.has(e.reason)))
      return [...errors, ...celErrors(object, old, schema, warnings)];
    return [
      ...errors,
      fieldError.invalid(
        '<nil>',
        'null',
        'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
      ),
    ];
  };
  return {
    // Updates are checked below, where the old object is known.
    validate: (object) => ((object.metadata.resourceVersion ?? '') === '' ? check(object, undefined) : []),
    validateUpdate: check,
  };
}
