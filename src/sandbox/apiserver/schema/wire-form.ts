import { canonicalQuantity } from '../../base/exact-quantity.js';
import { isObject, type Json, type JsonObject } from '../../base/json.js';
import type { Schema } from './schema.js';

/**
 * Brings a value of a built-in type, in place, into the form in which the API
 * carries it: nulls, empty maps and lists, and zeros of fields that leave them
 * out are dropped; structs and scalars that are always written are added;
 * quantities and times take their one canonical spelling. Idempotent.
 */
export function toWireForm(value: JsonObject, schema: Schema): void {
  walk(value, schema, true);
}

/** As toWireForm, but adds nothing: what is absent may still be defaulted. */
export function dropEmpty(value: JsonObject, schema: Schema): void {
  walk(value, schema, false);
}

function walk(value: JsonObject, schema: Schema, adds: boolean): void {
  const { properties, additionalProperties } = schema;
  if (properties === undefined) {
    if (typeof additionalProperties !== 'object') return;
    for (const key of Object.keys(value)) {
      const child = value[key];
      // A null entry of a map is the zero of its type.
      if (child !== undefined)
        value[key] = wireValue(child, additionalProperties, adds) ?? zeroOf(additionalProperties);
    }
    return;
  }
  for (const key of Object.keys(value)) {
    const child = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (child === undefined) continue;
    const current = wireValue(value[key], child, adds);
    if (current === undefined || isLeftOut(current, child)) Reflect.deleteProperty(value, key);
    else if (Array.isArray(current) && current.length === 0) value[key] = null;
    else value[key] = current;
  }
  if (!adds) return;
  for (const [key, child] of alwaysWritten(schema)) {
    if (value[key] === undefined) value[key] = zeroOf(child);
  }
}

const alwaysOf = new WeakMap<Schema, readonly (readonly [string, Schema])[]>();

function alwaysWritten(schema: Schema): readonly (readonly [string, Schema])[] {
  const known = alwaysOf.get(schema);
  if (known !== undefined) return known;
  const list = Object.entries(schema.properties ?? {}).filter(
    ([, child]) => child.presence === 'always' || child.presence === 'nullable',
  );
  alwaysOf.set(schema, list);
  return list;
}

function wireValue(value: Json | undefined, schema: Schema, adds: boolean): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (schema.isQuantity === true) return canonicalQuantity(value) ?? value;
  if (schema.format === 'date-time') return typeof value === 'string' ? canonicalTime(value, schema) : value;
  if (Array.isArray(value)) {
    const items = schema.items;
    if (items === undefined) return value;
    return (value as Json[]).map((v) => wireValue(v, items, adds) ?? zeroOf(items));
  }
  if (isObject(value)) walk(value, schema, adds);
  return value;
}

function isLeftOut(value: Json, schema: Schema): boolean {
  if (schema.presence === 'always' || schema.presence === 'nullable') return false;
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value))
    return (
      schema.properties === undefined &&
      schema.type === 'object' &&
      schema.preservesUnknown !== true &&
      Object.keys(value).length === 0
    );
  if (schema.format === 'byte') return value === '';
  return schema.presence === 'nonzero' && (value === '' || value === 0 || value === false);
}

/** What is written for a value that was not given. */
function zeroOf(schema: Schema): Json {
  if (schema.presence === 'nullable') return null;
  if (schema.isQuantity === true) return '0';
  if (schema.isIntOrString === true) return 0;
  if (schema.format === 'date-time' || schema.format === 'byte')
    return schema.presence === undefined && schema.format === 'byte' ? '' : null;
  switch (schema.type) {
    case 'string':
      return '';
    case 'integer':
    case 'number':
      return 0;
    case 'boolean':
      return false;
    case 'object': {
      if (schema.properties === undefined) return null;
      const out: JsonObject = {};
      toWireForm(out, schema);
      return out;
    }
    default:
      return null;
  }
}

const offset = /(?:[zZ]|[+-]\d{2}:\d{2})$/;

/** In UTC: whole seconds, or microseconds where the type keeps them. */
function canonicalTime(text: string, schema: Schema): string {
  const time = Date.parse(text);
  if (Number.isNaN(time) || !offset.test(text)) return text;
  const whole = new Date(time).toISOString().slice(0, 19);
  if (schema.name?.endsWith('.MicroTime') !== true) return `${whole}Z`;
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  return `${whole}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
}
