import { isObject, type Json } from '../json.js';
import { propertySchema, type Schema } from '../schema/schema.js';

const scalarNames: Readonly<Record<string, string>> = {
  integer: 'int32',
  number: 'float64',
  boolean: 'bool',
  string: 'string',
};

/**
 * The first place where a value's JSON type cannot be what a built-in kind
 * holds there, in the words of Go's decoder; undefined when all fits. Nulls
 * count as absent and are removed in place.
 */
export function typeProblem(
  value: Json | undefined,
  schema: Schema | undefined,
  path = '',
): string | undefined {
  if (schema === undefined || value === undefined || value === null) return undefined;
  const wrong = (wanted: string): string =>
    `json: cannot unmarshal ${Array.isArray(value) ? 'array' : isObject(value) ? 'object' : typeof value === 'boolean' ? 'bool' : typeof value} into Go struct field ${path === '' ? 'object' : path} of type ${wanted}`;
  if (schema.isIntOrString === true) {
    return typeof value === 'string' || Number.isInteger(value) ? undefined : wrong('intstr.IntOrString');
  }
  switch (schema.type) {
    case undefined:
      return undefined;
    case 'object': {
      if (!isObject(value)) return wrong(schema.name ?? 'map[string]string');
      for (const key of Object.keys(value)) {
        const child = propertySchema(schema, key);
        if (value[key] === null && child !== undefined) {
          Reflect.deleteProperty(value, key);
          continue;
        }
        const problem = typeProblem(value[key], child, path === '' ? key : `${path}.${key}`);
        if (problem !== undefined) return problem;
      }
      return undefined;
    }
    case 'array': {
      if (!Array.isArray(value))
        return wrong(`[]${schema.items?.name ?? schema.items?.type ?? 'interface {}'}`);
      for (const item of value as Json[]) {
        const problem = typeProblem(item, schema.items, path);
        if (problem !== undefined) return problem;
      }
      return undefined;
    }
    case 'integer':
      if (!Number.isInteger(value)) return wrong(schema.format ?? 'int64');
      return schema.format === 'int32' && Math.abs(Number(value)) > 2 ** 31 ? wrong('int32') : undefined;
    case 'string':
      // Quantities may be written as numbers (`cpu: 1`).
      if (
        typeof value === 'number' &&
        /\.(limits|requests|capacity|allocatable|hard|used|min|max|default|defaultRequest|overhead)\.[^.]+$|sizeLimit$|divisor$/.test(
          path,
        )
      )
        return undefined;
      return typeof value === 'string' ? undefined : wrong('string');
    default:
      return typeof value === schema.type ? undefined : wrong(scalarNames[schema.type] ?? schema.type);
  }
}
