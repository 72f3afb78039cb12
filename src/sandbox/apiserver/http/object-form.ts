import { isObject, type Json, type JsonObject, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { apiError } from '../api-error.js';

/** The type an endpoint takes. */
export interface ObjectType {
  readonly apiVersion: string;
  readonly kind: string;
}

/** How Go's decoder names the JSON type of a value. */
export function jsonTypeName(value: Json | undefined): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return isObject(value) ? 'object' : typeof value;
}

const textFields = ['name', 'namespace', 'generateName', 'uid', 'resourceVersion', 'selfLink'] as const;
const mapFields = ['labels', 'annotations'] as const;
const listFields = [
  ['finalizers', 'string', '[]string'],
  ['ownerReferences', 'object', '[]v1.OwnerReference'],
  ['managedFields', 'object', '[]v1.ManagedFieldsEntry'],
] as const;
const timeFields = ['creationTimestamp', 'deletionTimestamp'] as const;
const numberFields = ['generation', 'deletionGracePeriodSeconds'] as const;

/** The first part of metadata whose JSON type is wrong, in the words of Go's decoder. Nulls are removed in place. */
function metadataProblem(meta: JsonObject): string | undefined {
  const wrong = (value: Json | undefined, field: string, wanted: string): string =>
    `json: cannot unmarshal ${jsonTypeName(value)} into Go struct field ObjectMeta.metadata.${field} of type ${wanted}`;
  for (const key of Object.keys(meta)) if (meta[key] === null) delete meta[key];
  for (const field of textFields) {
    const v = meta[field];
    if (v !== undefined && typeof v !== 'string') return wrong(v, field, 'string');
  }
  for (const field of timeFields) {
    const v = meta[field];
    if (v === undefined) continue;
    if (typeof v !== 'string') return wrong(v, field, 'string');
    if (!/^\d{4}-\d\d-\d\dT/.test(v) || Number.isNaN(Date.parse(v))) {
      return `parsing time ${JSON.stringify(JSON.stringify(v))} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(v)} as "2006"`;
    }
  }
  for (const field of numberFields) {
    const v = meta[field];
    if (v !== undefined && !Number.isInteger(v)) return wrong(v, field, 'int64');
  }
  for (const field of mapFields) {
    const v = meta[field];
    if (v === undefined) continue;
    if (!isObject(v)) return wrong(v, field, 'map[string]string');
    for (const [key, text] of Object.entries(v)) {
      if (text === null) v[key] = '';
      else if (typeof text !== 'string') return wrong(text, field, 'string');
    }
  }
  for (const [field, item, wanted] of listFields) {
    const v = meta[field];
    if (v === undefined) continue;
    if (!Array.isArray(v)) return wrong(v, field, wanted);
    for (const entry of v as Json[]) {
      if (item === 'string' ? typeof entry !== 'string' : !isObject(entry)) {
        return wrong(entry, field, wanted.slice(2));
      }
    }
  }
  return undefined;
}

/** A parsed body as an object of the expected kind; absent type and metadata are filled in. Throws 400. */
export function objectFrom(value: Json | undefined, expected: ObjectType): ApiObject {
  if (value !== undefined && value !== null && !isObject(value)) {
    throw apiError.badRequest('the request body must be an object');
  }
  const given: JsonObject = isObject(value) ? value : {};
  const refuse = (why: string): Error => {
    const version = expected.apiVersion.slice(expected.apiVersion.indexOf('/') + 1);
    return apiError.badRequest(
      `${expected.kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: ${why}`,
    );
  };
  const { apiVersion, kind, metadata } = given;
  for (const [name, v] of [
    ['apiVersion', apiVersion],
    ['kind', kind],
  ] as const) {
    if (v !== undefined && v !== null && typeof v !== 'string') {
      throw refuse(`json: cannot unmarshal ${jsonTypeName(v)} into Go struct field .${name} of type string`);
    }
  }
  if (isGiven(apiVersion) && apiVersion !== expected.apiVersion) {
    throw apiError.badRequest(
      `the API version in the data (${stringOf(apiVersion)}) does not match the expected API version (${expected.apiVersion})`,
    );
  }
  if (isGiven(kind) && kind !== expected.kind) {
    throw apiError.badRequest(
      `the kind in the data (${stringOf(kind)}) does not match the expected kind (${expected.kind})`,
    );
  }
  if (metadata !== undefined && metadata !== null && !isObject(metadata)) {
    throw refuse(
      `json: cannot unmarshal ${jsonTypeName(metadata)} into Go struct field ${expected.kind}.metadata of type v1.ObjectMeta`,
    );
  }
  const meta: JsonObject = { ...metadata };
  const problem = metadataProblem(meta);
  if (problem !== undefined) throw refuse(problem);
  if (typeof meta.name !== 'string') meta.name = '';
  // Every field read through ObjectMeta was checked above.
  return {
    ...given,
    apiVersion: expected.apiVersion,
    kind: expected.kind,
    metadata: meta as ApiObject['metadata'],
  };
}

function isGiven(value: Json | undefined): boolean {
  return value !== undefined && value !== null && value !== '';
}
