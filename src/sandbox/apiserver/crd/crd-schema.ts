import { arrayOf, isObject, type Json, numberOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';
import type { CelRule, Schema, SchemaType } from '../schema/schema.js';

const types: ReadonlySet<string> = new Set(['object', 'array', 'string', 'integer', 'number', 'boolean']);
/** Schemas nest; hostile ones without end. */
const depthMax = 100;

type Draft = { -readonly [K in keyof Schema]: Schema[K] };

function rulesOf(value: Json | undefined): CelRule[] {
  return objectsOf(value).map((r) => ({
    rule: stringOf(r.rule),
    message: typeof r.message === 'string' ? r.message : undefined,
    messageExpression: typeof r.messageExpression === 'string' ? r.messageExpression : undefined,
    reason: typeof r.reason === 'string' ? r.reason : undefined,
    fieldPath: typeof r.fieldPath === 'string' ? r.fieldPath : undefined,
    optionalOldSelf: r.optionalOldSelf === true,
  }));
}

const numbers = [
  'minimum',
  'maximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
] as const; // prettier-ignore

/** Converts openAPIV3Schema to the server's own form. Unknown keywords are ignored. */
export function schemaFromOpenApi(json: Json | undefined, depth = 0): Schema {
  if (!isObject(json) || depth > depthMax) return {};
  const out: Draft = {};
  const type = stringOf(json.type);
  if (types.has(type)) out.type = type as SchemaType;
  if (typeof json.description === 'string') out.description = json.description;
  if (typeof json.format === 'string') out.format = json.format;
  if (typeof json.pattern === 'string') out.pattern = json.pattern;
  for (const key of numbers) {
    const n = numberOf(json[key]);
    if (n !== undefined) out[key] = n;
  }
  if (json.exclusiveMinimum === true) out.exclusiveMinimum = true;
  if (json.exclusiveMaximum === true) out.exclusiveMaximum = true;
  if (json.uniqueItems === true) out.uniqueItems = true;
  if (json.nullable === true) out.nullable = true;
  if (json.default !== undefined) out.default = json.default;
  if (Array.isArray(json.enum)) out.enum = json.enum as Json[];
  if (Array.isArray(json.required)) out.required = stringsOf(json.required);
  const child = (v: Json | undefined): Schema => schemaFromOpenApi(v, depth + 1);
  if (isObject(json.properties)) {
    out.properties = Object.fromEntries(Object.entries(json.properties).map(([k, v]) => [k, child(v)]));
  }
  if (isObject(json.items)) out.items = child(json.items);
  if (json.additionalProperties === true) out.additionalProperties = true;
  else if (isObject(json.additionalProperties)) out.additionalProperties = child(json.additionalProperties);
  for (const key of ['allOf', 'anyOf', 'oneOf'] as const) {
    const list = arrayOf(json[key]);
    if (list.length > 0) out[key] = list.map(child);
  }
  if (isObject(json.not)) out.not = child(json.not);
  if (json['x-kubernetes-int-or-string'] === true) out.isIntOrString = true;
  if (json['x-kubernetes-preserve-unknown-fields'] === true) out.preservesUnknown = true;
  if (json['x-kubernetes-embedded-resource'] === true) out.isEmbeddedResource = true;
  const listType = json['x-kubernetes-list-type'];
  if (listType === 'map' || listType === 'set' || listType === 'atomic') out.listType = listType;
  const keys = stringsOf(json['x-kubernetes-list-map-keys']);
  if (keys.length > 0) out.listMapKeys = keys;
  if (json['x-kubernetes-map-type'] === 'atomic') out.isAtomicMap = true;
  const rules = rulesOf(json['x-kubernetes-validations']);
  if (rules.length > 0) out.rules = rules;
  return out;
}

/** A schema for resources without one: every field is kept. */
export const anythingSchema: Schema = { type: 'object', preservesUnknown: true };

/** The schema with apiVersion, kind and metadata known, as every object has them. */
export function withMetadata(schema: Schema, metadata: Schema): Schema {
  const properties: Record<string, Schema> = { ...schema.properties };
  properties.apiVersion ??= { type: 'string' };
  properties.kind ??= { type: 'string' };
  properties.metadata = metadata;
  return { ...schema, type: 'object', properties };
}

/** Reads a property path such as .spec.replicas. */
export function simplePath(text: string): string[] {
  return text.split('.').filter((p) => p !== '');
}
