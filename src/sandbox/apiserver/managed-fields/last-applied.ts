import { isObject, type Json, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Schema } from '../schema/schema.js';
import { ownable } from './field-managers.js';
import { FieldSet } from './field-set.js';
import { compareValues, occupiedFields } from './typed-value.js';

/** Where kubectl keeps what it applied from its own side. */
const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
const annotationMaxBytes = 256 * 1024;

/** The manager that goes on with what kubectl applied before; other names opt out. */
export const lastAppliedManager = 'kubectl';

/**
 * The fields that kubectl set from its own side and that nobody changed since:
 * kubectl's server-side apply may take them over without a conflict.
 */
export function lastAppliedFields(live: ApiObject | undefined, schema: Schema): FieldSet {
  const text = live?.metadata.annotations?.[annotation];
  if (live === undefined || text === undefined || text === '') return new FieldSet();
  let last: unknown;
  try {
    last = JSON.parse(text);
  } catch {
    // An annotation that somebody else wrote allows nothing.
    return new FieldSet();
  }
  if (!isObject(last) || !isObject(last.metadata)) return new FieldSet();
  // Read for its fields only, whose form is checked on the way.
  const before = ownable(last as ApiObject);
  const { changed, removed } = compareValues(before, ownable(live), schema);
  return occupiedFields(before, schema).difference(changed).difference(removed);
}

/** Keeps kubectl's annotation, in place, up to date with what was applied, where the live object has it. */
export function syncLastApplied(live: ApiObject | undefined, applied: ApiObject, result: ApiObject): void {
  if (live?.metadata.annotations?.[annotation] === undefined) return;
  const { managedFields: _m, annotations, ...metadata } = applied.metadata;
  const others = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key !== annotation));
  const meta: JsonObject = Object.keys(others).length === 0 ? metadata : { ...metadata, annotations: others };
  const text = `${JSON.stringify(sorted({ ...applied, metadata: meta }))}\n`;
  result.metadata.annotations = {
    ...result.metadata.annotations,
    [annotation]: text.length > annotationMaxBytes ? '' : text,
  };
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map((v: Json) => sorted(v));
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const key of Object.keys(value).sort()) {
    const v = value[key];
    if (v !== undefined) out[key] = sorted(v);
  }
  return out;
}
