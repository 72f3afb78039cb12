import { type FieldError, fieldError } from '../api-error.js';
import { cloneJson } from '../../base/json.js';
import { prune } from '../schema/prune.js';
import type { Schema } from '../schema/schema.js';
import { validateSchema } from '../schema/validate.js';

/** Problems of the defaults anywhere in a schema: they must be values that the schema accepts. */
export function defaultErrors(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  walk(schema, path, errors);
  return errors;
}

function walk(schema: Schema, path: string, errors: FieldError[]): void {
  if (schema.default !== undefined) {
    const at = `${path}.default`;
    const unknown = prune(cloneJson(schema.default), schema, { isRoot: schema.isEmbeddedResource === true });
    if (unknown.length > 0)
      errors.push(fieldError.invalid(at, schema.default, 'must not have unknown fields'));
    else {
      for (const error of validateSchema(schema.default, schema)) {
        const below = error.field === '<nil>' || error.field === '' ? '' : `.${error.field}`;
        errors.push({
          ...error,
          field: `${at}${below}`,
          message: error.message.replace(': value in body', ':  in body'),
        });
      }
    }
  }
  for (const [key, child] of Object.entries(schema.properties ?? {}))
    walk(child, `${path}.properties[${key}]`, errors);
  if (typeof schema.additionalProperties === 'object') {
    walk(schema.additionalProperties, `${path}.additionalProperties`, errors);
  }
  if (schema.items !== undefined) walk(schema.items, `${path}.items`, errors);
}
