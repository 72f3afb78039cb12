import { equalJson, isObject, type Json, type JsonObject, setOwn } from '../../base/json.js';
import { propertySchema, type Schema } from '../schema/schema.js';
import { indexOfItem, isInOrder, orderMerged } from './element-order.js';
import { MalformedPatch } from './patch-error.js';

const orderPrefix = '$setElementOrder/';
const deletePrefix = '$deleteFromPrimitiveList/';
const directives: ReadonlySet<string> = new Set(['$patch', '$retainKeys']);
const quotedMax = 200;

function quoted(value: Json): string {
  return JSON.stringify(value).slice(0, quotedMax);
}

/**
 * Strategic merge patch, by the merge keys of the schema. The target is not
 * changed. Throws MalformedPatch for directives that make no sense.
 */
export function strategicMergePatch(target: Json | undefined, patch: Json, schema: Schema | undefined): Json {
  if (!isObject(patch)) return patch;
  return mergeObject(isObject(target) ? target : {}, patch, schema);
}

function isDirective(key: string): boolean {
  return directives.has(key) || key.startsWith(orderPrefix) || key.startsWith(deletePrefix);
}

/** A value of the patch that nothing is merged with: its directives and nulls mean nothing there. */
function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) {
    return value
      .filter((v: Json) => !isObject(v) || v.$patch === undefined)
      .map((v: Json) => withoutDirectives(v));
  }
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const [key, v] of Object.entries(value)) {
    if (v === undefined || v === null || isDirective(key)) continue;
    setOwn(out, key, withoutDirectives(v));
  }
  return out;
}

function listOf(value: Json | undefined, what: string): readonly Json[] {
  if (!Array.isArray(value))
    throw new MalformedPatch(`${what}: expected a list, but received ${quoted(value ?? null)}`);
  return value as Json[];
}

function retainKeys(out: JsonObject, patch: JsonObject): void {
  if (patch.$retainKeys === undefined) return;
  const kept = listOf(patch.$retainKeys, '$retainKeys');
  const isStray = Object.keys(patch).some((k) => !isDirective(k) && patch[k] !== null && !kept.includes(k));
  if (isStray)
    throw new MalformedPatch('invalid patch format of $retainKeys: a key of the patch is not in it');
  for (const key of Object.keys(out)) if (!kept.includes(key)) Reflect.deleteProperty(out, key);
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
      throw new MalformedPatch(
        `unknown patch type: ${typeof patch.$patch === 'string' ? patch.$patch : '?'} in map: ${quoted(patch)}`,
      );
  }
  const out: JsonObject = { ...target };
  retainKeys(out, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(deletePrefix)) continue;
    const gone = listOf(value, key);
    const field = key.slice(deletePrefix.length);
    const list = out[field];
    if (Array.isArray(list)) {
      setOwn(
        out,
        field,
        list.filter((item: Json) => !gone.some((v) => equalJson(v, item))),
      );
    }
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || isDirective(key)) continue;
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
    reorder(out, field, listOf(order, key), {
      before: target[field],
      patched: patch[field],
      mergeKey: propertySchema(schema, field)?.patchMergeKey,
    });
  }
  return out;
}

function reorder(
  out: JsonObject,
  field: string,
  order: readonly Json[],
  lists: { before: Json | undefined; patched: Json | undefined; mergeKey: string | undefined },
): void {
  const { before, patched, mergeKey } = lists;
  if (Array.isArray(patched)) {
    const kept = (patched as Json[]).filter((p) => !isObject(p) || p.$patch === undefined);
    if (!isInOrder(kept, order, mergeKey)) {
      throw new MalformedPatch(
        `The order in patch list:\n${quoted(patched)}\n doesn't match $setElementOrder list:\n${quoted([...order])}\n`,
      );
    }
  }
  const list = out[field];
  if (!Array.isArray(list)) return;
  setOwn(
    out,
    field,
    orderMerged(list as Json[], order, Array.isArray(before) ? (before as Json[]) : [], mergeKey),
  );
}

function mergeValue(current: Json | undefined, value: Json, schema: Schema | undefined): Json {
  if (isObject(value)) return mergeObject(isObject(current) ? current : {}, value, schema);
  if (!Array.isArray(value)) return value;
  const isMerged = schema?.patchStrategies?.includes('merge') === true;
  if (!isMerged) return withoutDirectives(value);
  const base = Array.isArray(current) ? (current as Json[]) : [];
  const items = value as Json[];
  const key = schema?.patchMergeKey;
  if (key === undefined || schema === undefined) {
    const merged = [...base];
    for (const item of items) if (indexOfItem(merged, item, undefined) < 0) merged.push(item);
    return orderMerged(merged, items, base, undefined);
  }
  if (items.some((p) => isObject(p) && p.$patch === 'replace')) return withoutDirectives(items);
  return orderMerged(mergeKeyedList(base, items, schema, key), items, base, key);
}

function mergeKeyedList(base: readonly Json[], patch: readonly Json[], schema: Schema, key: string): Json[] {
  let out = [...base];
  for (const item of patch) {
    if (!isObject(item)) {
      throw new MalformedPatch(
        `list element types are not identical: [${quoted([...base])} ${quoted(item)}]`,
      );
    }
    const id = item[key];
    if (id === undefined || id === null) {
      throw new MalformedPatch(`map: ${quoted(item)} does not contain declared merge key: ${key}`);
    }
    const isSame = (o: Json): boolean => isObject(o) && equalJson(o[key], id);
    const { $patch: directive } = item;
    if (directive === 'delete') {
      out = out.filter((o) => !isSame(o));
      continue;
    }
    if (directive === 'merge') throw new MalformedPatch('merging list cannot yet be specified in the patch');
    const index = out.findIndex(isSame);
    if (index >= 0) out[index] = mergeValue(out[index], item, schema.items);
    else out.push(mergeValue(undefined, item, schema.items));
  }
  return out;
}
