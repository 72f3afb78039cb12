import { apiError } from '../http/api-error.js';
import { equalJson, isObject, type Json, type JsonObject, setOwn } from '../json.js';
import { propertySchema, type Schema } from '../schema/schema.js';

const orderPrefix = '$setElementOrder/';
const deletePrefix = '$deleteFromPrimitiveList/';

/** Strategic merge patch, by the merge keys of the schema. The target is not changed. */
export function strategicMergePatch(target: Json | undefined, patch: Json, schema: Schema | undefined): Json {
  if (!isObject(patch)) return patch;
  return mergeObject(isObject(target) ? target : {}, patch, schema);
}

function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) {
    return value
      .filter((v: Json) => !isObject(v) || v.$patch === undefined)
      .map((v: Json) => withoutDirectives(v));
  }
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const [key, v] of Object.entries(value)) {
    if (v === undefined || v === null || key.startsWith('$')) continue;
    setOwn(out, key, withoutDirectives(v));
  }
  return out;
}

function mergeObject(target: JsonObject, patch: JsonObject, schema: Schema | undefined): JsonObject {
  switch (patch.$patch) {
    case undefined:
    case 'merge':
      break;
    case 'replace':
      return withoutDirectives(patch) as JsonObject;
    case 'delete':
      return {};
    default:
      throw apiError.badRequest(`unknown patch type found: ${JSON.stringify(patch.$patch)}`);
  }
  const out: JsonObject = { ...target };
  const { $retainKeys } = patch;
  if ($retainKeys !== undefined) {
    if (!Array.isArray($retainKeys)) throw apiError.badRequest('$retainKeys must be a list');
    for (const key of Object.keys(out)) if (!$retainKeys.includes(key)) Reflect.deleteProperty(out, key);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || key === '$patch' || key === '$retainKeys' || key.startsWith(orderPrefix))
      continue;
    if (key.startsWith(deletePrefix)) {
      const field = key.slice(deletePrefix.length);
      const list = out[field];
      if (Array.isArray(list) && Array.isArray(value)) {
        out[field] = list.filter((item: Json) => !value.some((v: Json) => equalJson(v, item)));
      }
      continue;
    }
    if (value === null) {
      Reflect.deleteProperty(out, key);
      continue;
    }
    const current = Object.hasOwn(out, key) ? out[key] : undefined;
    setOwn(out, key, mergeValue(current, value, propertySchema(schema, key)));
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    const field = key.slice(orderPrefix.length);
    const list = out[field];
    if (Array.isArray(list) && Array.isArray(order)) {
      out[field] = reorder(list as Json[], order as Json[], propertySchema(schema, field)?.patchMergeKey);
    }
  }
  return out;
}

function mergeValue(current: Json | undefined, value: Json, schema: Schema | undefined): Json {
  if (isObject(value)) {
    if (!isObject(current)) return mergeObject({}, value, schema);
    return mergeObject(current, value, schema);
  }
  if (!Array.isArray(value)) return value;
  const isMerged = schema?.patchStrategies?.includes('merge') === true;
  if (!isMerged) return withoutDirectives(value);
  const base = Array.isArray(current) ? (current as Json[]) : [];
  if (schema?.patchMergeKey === undefined) {
    return [...base, ...(value as Json[]).filter((v) => !base.some((b) => equalJson(b, v)))];
  }
  return mergeKeyedList(base, value as Json[], schema, schema.patchMergeKey);
}

function mergeKeyedList(base: readonly Json[], patch: readonly Json[], schema: Schema, key: string): Json[] {
  if (patch.some((p) => isObject(p) && p.$patch === 'replace')) {
    return withoutDirectives(
      patch.filter((p) => !isObject(p) || p.$patch !== 'replace' || Object.keys(p).length > 1),
    ) as Json[];
  }
  let out = [...base];
  for (const item of patch) {
    if (!isObject(item)) throw apiError.badRequest(`list items of the patch must be objects with key ${key}`);
    const id = item[key];
    if (id === undefined) {
      throw apiError.badRequest(
        `map: ${JSON.stringify(item).slice(0, 200)} does not contain declared merge key: ${key}`,
      );
    }
    const index = out.findIndex((o) => isObject(o) && equalJson(o[key], id));
    if (item.$patch === 'delete') out = out.filter((o) => !(isObject(o) && equalJson(o[key], id)));
    else if (index >= 0) out[index] = mergeValue(out[index], item, schema.items);
    else out.push(mergeValue(undefined, item, schema.items));
  }
  return out;
}

/** Puts listed items in the given order; others keep their place after the item they followed. */
function reorder(list: readonly Json[], order: readonly Json[], key: string | undefined): Json[] {
  const rankOf = (item: Json): number =>
    order.findIndex((o) =>
      key === undefined ? equalJson(o, item) : isObject(o) && isObject(item) && equalJson(o[key], item[key]),
    );
  const listed = list.filter((i) => rankOf(i) >= 0).sort((a, b) => rankOf(a) - rankOf(b));
  const out: Json[] = [];
  let next = 0;
  for (const item of list) out.push(rankOf(item) >= 0 ? (listed[next++] ?? item) : item);
  return out;
}
