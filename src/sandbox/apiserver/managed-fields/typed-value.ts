import { equalJson, isObject, type Json, type JsonObject, setOwn } from '../../base/json.js';
import { propertySchema, type Schema } from '../schema/schema.js';
import { FieldSet } from './field-set.js';
import { itemStep } from '../schema/item-step.js';

/** One part of a value that can be owned on its own. */
export interface Part {
  readonly step: string;
  readonly value: Json;
  readonly schema: Schema | undefined;
  /** Items of lists and entries of maps are owned as such; struct fields only through their leaves. */
  readonly isItem: boolean;
}

/** The separately owned parts of a value; undefined when the value is owned as a whole. */
export function partsOf(value: Json | undefined, schema: Schema | undefined): Part[] | undefined {
  if (isObject(value)) {
    if (schema?.isAtomicMap === true) return undefined;
    return Object.keys(value).flatMap((key): Part[] => {
      const v = value[key];
      if (v === undefined) return [];
      const isField = schema?.properties !== undefined && Object.hasOwn(schema.properties, key);
      return [
        {
          step: `f:${key}`,
          value: v,
          schema: propertySchema(schema, key),
          isItem: !isField && schema !== undefined,
        },
      ];
    });
  }
  if (!Array.isArray(value) || schema === undefined) return undefined;
  if (schema.listType === 'set') {
    return value.map((v: Json) => ({
      step: `v:${JSON.stringify(v)}`,
      value: v,
      schema: schema.items,
      isItem: true,
    }));
  }
  if (schema.listType !== 'map') return undefined;
  const parts: Part[] = [];
  for (const v of value as Json[]) {
    const step = itemStep(v, schema);
    if (step === undefined) return undefined;
    parts.push({ step, value: v, schema: schema.items, isItem: true });
  }
  // Duplicate keys (left by clients older than the key) cannot be told apart: own the list as a whole.
  return new Set(parts.map((p) => p.step)).size === parts.length ? parts : undefined;
}

/** The paths a value occupies. */
export function occupiedFields(value: Json, schema: Schema | undefined, isItem = false): FieldSet {
  const parts = partsOf(value, schema);
  const set = new FieldSet(isItem || parts === undefined || parts.length === 0);
  for (const p of parts ?? []) set.children.set(p.step, occupiedFields(p.value, p.schema, p.isItem));
  return set;
}

/** What changed between two values. */
export interface Comparison {
  /** Added or given another value. */
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}

/** Every path that comes or goes with a value: unlike in an applied one, what holds others is one too. */
function allFields(part: Part): FieldSet {
  const set = new FieldSet(true);
  for (const p of partsOf(part.value, part.schema) ?? []) set.children.set(p.step, allFields(p));
  return set;
}

/** Compares two values path by path. */
export function compareValues(before: Json, after: Json, schema: Schema | undefined): Comparison {
  const changed = new FieldSet();
  const removed = new FieldSet();
  if (equalJson(before, after)) return { changed, removed };
  // A null is written where a list or map always is: it is there, with nothing in it.
  const oldParts = before === null ? [] : partsOf(before, schema);
  const newParts = partsOf(after, schema);
  if (oldParts === undefined || newParts === undefined) {
    return {
      changed: occupiedFields(after, schema).union(new FieldSet(true)),
      removed:
        oldParts === undefined
          ? removed
          : occupiedFields(before, schema).difference(occupiedFields(after, schema)),
    };
  }
  if (newParts.length === 0) changed.isMember = true;
  const old = new Map(oldParts.map((p) => [p.step, p]));
  for (const part of newParts) {
    const was = old.get(part.step);
    old.delete(part.step);
    if (was === undefined) {
      changed.children.set(part.step, allFields(part));
      continue;
    }
    const inner = compareValues(was.value, part.value, part.schema);
    if (!inner.changed.isEmpty) changed.children.set(part.step, inner.changed);
    if (!inner.removed.isEmpty) removed.children.set(part.step, inner.removed);
  }
  for (const [step, part] of old) removed.children.set(step, allFields(part));
  return { changed, removed };
}

/** Lays an applied configuration over a live value: maps and keyed lists merge, everything else is replaced. */
export function mergeApplied(live: Json | undefined, applied: Json, schema: Schema | undefined): Json {
  if (isObject(applied)) {
    if (!isObject(live) || schema?.isAtomicMap === true) return applied;
    const out: JsonObject = { ...live };
    for (const key of Object.keys(applied)) {
      const v = applied[key];
      if (v !== undefined) setOwn(out, key, mergeApplied(live[key], v, propertySchema(schema, key)));
    }
    return out;
  }
  if (!Array.isArray(applied) || !Array.isArray(live)) return applied;
  const appliedParts = partsOf(applied, schema);
  const liveParts = partsOf(live, schema);
  if (appliedParts === undefined || liveParts === undefined) return applied;
  const wanted = new Map(appliedParts.map((p) => [p.step, p]));
  const liveSteps = new Set(liveParts.map((p) => p.step));
  const kept = liveParts.map((p) => {
    const over = wanted.get(p.step);
    return over === undefined ? p.value : mergeApplied(p.value, over.value, p.schema);
  });
  const added = appliedParts.filter((p) => !liveSteps.has(p.step)).map((p) => p.value);
  return [...kept, ...added];
}

/**
 * Removes paths from a value: those in `remove`, except what `keep` still
 * holds below them. Returns undefined when nothing is left of the value.
 */
export function removeFields(
  value: Json,
  schema: Schema | undefined,
  remove: FieldSet,
  keep: FieldSet | undefined,
): Json | undefined {
  const parts = partsOf(value, schema);
  if (parts === undefined || remove.children.size === 0) {
    return remove.isMember && (keep === undefined || keep.isEmpty) ? undefined : value;
  }
  if (remove.isMember && (keep === undefined || keep.isEmpty)) return undefined;
  let isChanged = false;
  const rest: Part[] = [];
  for (const part of parts) {
    const below = remove.children.get(part.step);
    if (below === undefined) {
      rest.push(part);
      continue;
    }
    const left = removeFields(part.value, part.schema, below, keep?.children.get(part.step));
    if (left !== part.value) isChanged = true;
    if (left !== undefined) rest.push({ ...part, value: left });
  }
  if (!isChanged) return value;
  if (rest.length === 0 && (keep === undefined || keep.isEmpty)) return undefined;
  if (Array.isArray(value)) return rest.map((p) => p.value);
  const out: JsonObject = {};
  for (const p of rest) setOwn(out, p.step.slice(2), p.value);
  return out;
}
