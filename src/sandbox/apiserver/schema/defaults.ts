import { cloneJson, isObject, type Json, setOwn } from '../../base/json.js';
import type { Schema } from './schema.js';

/** Fills in, in place, the schema's defaults, top down, and drops nulls where a default or non-nullable field says so. */
export function applyDefaults(value: Json | undefined, schema: Schema): void {
  if (Array.isArray(value)) {
    const items = schema.items;
    if (items !== undefined) for (const v of value as Json[]) applyDefaults(v, items);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    const current = Object.hasOwn(value, key) ? value[key] : undefined;
    if (current === undefined || (current === null && child.nullable !== true)) {
      if (child.default !== undefined) setOwn(value, key, cloneJson(child.default));
      else if (current === null && child.type !== undefined) Reflect.deleteProperty(value, key);
    }
    if (Object.hasOwn(value, key)) applyDefaults(value[key], child);
  }
  const extra = schema.additionalProperties;
  if (typeof extra === 'object') {
    for (const key of Object.keys(value)) {
      if (schema.properties !== undefined && Object.hasOwn(schema.properties, key)) continue;
      if (value[key] === null && extra.nullable !== true && extra.default !== undefined) {
        setOwn(value, key, cloneJson(extra.default));
      }
      applyDefaults(value[key], extra);
    }
  }
}
