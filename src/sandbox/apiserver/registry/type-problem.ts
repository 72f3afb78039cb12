import { canonicalQuantity } from '../../base/exact-quantity.js';
import { isObject, type Json } from '../../base/json.js';
import { propertySchema, type Schema } from '../schema/schema.js';

const scalarNames: Readonly<Record<string, string>> = {
  integer: 'int32',
  number: 'float64',
  boolean: 'bool',
  string: 'string',
};
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

const rfc3339Micro = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}(?:Z|[+-]\d{2}:\d{2})$/;

function timeForm(schema: Schema): RegExp {
  return schema.name?.endsWith('.MicroTime') === true ? rfc3339Micro : rfc3339;
}

/** Where a value stands: the path for people and the struct that holds it. */
interface Place {
  readonly path: string;
  readonly struct: string;
}

/** The Go name of a type: PodSpec of io.k8s.api.core.v1.PodSpec. */
function shortName(schema: Schema | undefined): string {
  return schema?.name?.split('.').at(-1) ?? '';
}

function goType(schema: Schema): string {
  if (schema.name !== undefined) return schema.name.split('.').slice(-2).join('.');
  if (schema.type === 'array')
    return `[]${schema.items === undefined ? 'interface {}' : goType(schema.items)}`;
  if (schema.type === 'object') {
    const values = schema.additionalProperties;
    return `map[string]${typeof values === 'object' ? goType(values) : 'interface {}'}`;
  }
  return schema.type === 'integer'
    ? (schema.format ?? 'int64')
    : (scalarNames[schema.type ?? ''] ?? 'interface {}');
}

function jsonType(value: Json): string {
  if (Array.isArray(value)) return 'array';
  if (isObject(value)) return 'object';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/**
 * The first place where a value cannot be what a built-in kind holds there,
 * in the words of Go's decoder; undefined when all fits. Nulls count as absent.
 */
export function typeProblem(
  value: Json | undefined,
  schema: Schema | undefined,
  place: Place = { path: '', struct: '' },
): string | undefined {
  if (schema === undefined || value === undefined || value === null) return undefined;
  const wrong = (): string =>
    place.path === ''
      ? `json: cannot unmarshal ${jsonType(value)} into Go value of type ${goType(schema)}`
      : `json: cannot unmarshal ${jsonType(value)} into Go struct field ${place.struct}.${place.path} of type ${goType(schema)}`;
  if (schema.isIntOrString === true) {
    return typeof value === 'string' || Number.isInteger(value) ? undefined : wrong();
  }
  if (schema.isQuantity === true) {
    return canonicalQuantity(value) === undefined
      ? "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
      : undefined;
  }
  switch (schema.type) {
    case undefined:
      return undefined;
    case 'object': {
      if (!isObject(value)) return wrong();
      const struct = schema.properties === undefined ? place.struct : shortName(schema);
      for (const key of Object.keys(value)) {
        const path =
          schema.properties === undefined || place.path === ''
            ? `${place.path}${place.path === '' ? key : ''}`
            : `${place.path}.${key}`;
        const problem = typeProblem(value[key], propertySchema(schema, key), { path, struct });
        if (problem !== undefined) return problem;
      }
      return undefined;
    }
    case 'array': {
      if (!Array.isArray(value)) return wrong();
      for (const item of value as Json[]) {
        const problem = typeProblem(item, schema.items, place);
        if (problem !== undefined) return problem;
      }
      return undefined;
    }
    case 'integer':
      if (!Number.isInteger(value)) return wrong();
      return schema.format === 'int32' && (Number(value) >= 2 ** 31 || Number(value) < -(2 ** 31))
        ? wrong()
        : undefined;
    case 'string':
      if (typeof value !== 'string') return wrong();
      if (schema.format === 'byte' && !base64.test(value.replace(/[\r\n]/g, ''))) {
        return 'illegal base64 data at input byte 0';
      }
      if (
        schema.format === 'date-time' &&
        (!timeForm(schema).test(value) || Number.isNaN(Date.parse(value)))
      ) {
        return `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(value)} as "2006"`;
      }
      return undefined;
    default:
      return typeof value === schema.type ? undefined : wrong();
  }
}
