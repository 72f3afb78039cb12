import { isObject, type Json, type JsonObject } from '../../base/json.js';
import type { Schema } from './schema.js';

/** The wire form of the step to an item of a keyed list; undefined when a key is missing. */
export function itemStep(item: Json, schema: Schema): string | undefined {
  if (!isObject(item)) return undefined;
  const keys: JsonObject = {};
  for (const key of [...(schema.listMapKeys ?? [])].sort()) {
    const value = item[key] ?? schema.items?.properties?.[key]?.default;
    if (value === undefined) continue;
    keys[key] = value;
  }
  return Object.keys(keys).length === 0 ? undefined : `k:${JSON.stringify(keys)}`;
}
