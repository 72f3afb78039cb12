import { ApiError } from '../http/api-error.js';
import { isObject, type Json, type JsonObject, stringOf } from '../json.js';
import { type KubeObject, timestamp } from '../object.js';
import type { Schema } from '../schema/schema.js';
import { FieldSet } from './field-set.js';
import { compareValues, fieldsOf, mergeApplied, removeFields } from './typed-value.js';

/** Beyond this many managers with operation Update, the oldest are folded into one. */
const updateManagersMax = 10;

/** Metadata that the server owns: no manager ever does. */
const systemMetadata: ReadonlySet<string> = new Set([
  'name',
  'generateName',
  'namespace',
  'uid',
  'selfLink',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
]);

interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource: string;
  apiVersion: string;
  time: string;
  fields: FieldSet;
}

/** Who is writing, and how. */
export interface WriterIdentity {
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string;
}

function ownable(object: KubeObject | undefined): JsonObject {
  if (object === undefined) return {};
  const { apiVersion: _a, kind: _k, metadata, ...rest } = object;
  const meta: JsonObject = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (!systemMetadata.has(key) && value !== undefined) meta[key] = value;
  }
  return Object.keys(meta).length > 0 ? { metadata: meta, ...rest } : rest;
}

function readManagers(object: KubeObject | undefined): Manager[] {
  const managers: Manager[] = [];
  for (const entry of object?.metadata.managedFields ?? []) {
    if (!isObject(entry)) continue;
    managers.push({
      name: stringOf(entry.manager),
      operation: entry.operation === 'Apply' ? 'Apply' : 'Update',
      subresource: stringOf(entry.subresource),
      apiVersion: stringOf(entry.apiVersion),
      time: stringOf(entry.time),
      fields: FieldSet.fromJson(entry.fieldsV1),
    });
  }
  return managers;
}

function foldOldUpdates(managers: Manager[]): Manager[] {
  const updates = managers.filter((m) => m.operation === 'Update').sort((a, b) => (a.time < b.time ? -1 : 1));
  if (updates.length <= updateManagersMax) return managers;
  const old = updates.slice(0, updates.length - updateManagersMax + 1);
  const folded: Manager = {
    name: 'ancient-changes',
    operation: 'Update',
    subresource: '',
    apiVersion: old.at(-1)?.apiVersion ?? '',
    time: old.at(-1)?.time ?? timestamp(),
    fields: old.reduce((set, m) => set.union(m.fields), new FieldSet()),
  };
  return [...managers.filter((m) => !old.includes(m)), folded];
}

function writeManagers(object: KubeObject, managers: readonly Manager[]): void {
  const kept = foldOldUpdates(managers.filter((m) => !m.fields.isEmpty));
  if (kept.length === 0) {
    delete object.metadata.managedFields;
    return;
  }
  object.metadata.managedFields = kept.map((m) => ({
    manager: m.name,
    operation: m.operation,
    apiVersion: m.apiVersion,
    time: m.time,
    fieldsType: 'FieldsV1',
    fieldsV1: m.fields.toJson(),
    ...(m.subresource === '' ? {} : { subresource: m.subresource }),
  }));
}

function isSame(m: Manager, who: WriterIdentity, operation: Manager['operation']): boolean {
  return m.name === who.manager && m.operation === operation && m.subresource === who.subresource;
}

/**
 * Records, in place on `after`, who owns what after a create, update or patch:
 * the writer owns what it changed, and others lose what it changed or removed.
 */
export function recordUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  schema: Schema,
  who: WriterIdentity,
): void {
  // An explicit empty list is how clients ask for ownership to be forgotten.
  const isReset = before !== undefined && after.metadata.managedFields?.length === 0;
  const { changed, removed } = compareValues(ownable(before), ownable(after), schema);
  const managers = isReset ? [] : readManagers(before);
  const touched = changed.union(removed);
  changed.isMember = false;
  let own = managers.find((m) => isSame(m, who, 'Update'));
  for (const m of managers) {
    if (m !== own) m.fields = m.fields.difference(touched);
  }
  if (!changed.isEmpty) {
    if (own === undefined) {
      own = {
        name: who.manager,
        operation: 'Update',
        subresource: who.subresource,
        apiVersion: who.apiVersion,
        time: '',
        fields: new FieldSet(),
      };
      managers.push(own);
    }
    own.apiVersion = who.apiVersion;
    own.time = timestamp();
  }
  if (own !== undefined) own.fields = own.fields.difference(removed).union(changed);
  writeManagers(after, managers);
}

function conflictError(conflicts: readonly { manager: Manager; fields: string[] }[]): ApiError {
  const causes: JsonObject[] = [];
  const texts: string[] = [];
  for (const { manager, fields } of conflicts) {
    const who = `conflict with ${JSON.stringify(manager.name)}${manager.subresource === '' ? '' : ` with subresource ${JSON.stringify(manager.subresource)}`}${manager.operation === 'Update' ? ` using ${manager.apiVersion}` : ''}`;
    for (const field of fields) causes.push({ reason: 'FieldManagerConflict', message: who, field });
    texts.push(
      fields.length === 1 ? `${who}: ${fields[0]}` : `${who}:\n${fields.map((f) => `- ${f}`).join('\n')}`,
    );
  }
  const noun = causes.length === 1 ? 'conflict' : 'conflicts';
  const head = `Apply failed with ${causes.length} ${noun}:`;
  return new ApiError(
    409,
    'Conflict',
    causes.length === 1 ? `${head} ${texts[0]}` : `${head} ${texts.join('\n')}`,
    { causes },
  );
}

function withoutNulls(value: Json): Json {
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const [k, v] of Object.entries(value)) if (v !== null && v !== undefined) out[k] = withoutNulls(v);
  return out;
}

/**
 * Server-side apply: the live object with the applied configuration laid over
 * it, without the fields this manager applied before and applies no more.
 * Throws a 409 listing every conflict unless `force`, which takes the fields.
 */
export function applyConfiguration(options: {
  readonly live: KubeObject | undefined;
  readonly applied: KubeObject;
  readonly schema: Schema;
  readonly who: WriterIdentity;
  readonly force: boolean;
}): KubeObject {
  const { live, applied, schema, who, force } = options;
  // The casts restate that laying an object over an object gives an object.
  const config = withoutNulls(ownable(applied)) as JsonObject;
  const wanted = fieldsOf(config, schema);
  wanted.isMember = false;
  const managers = readManagers(live);
  let own = managers.find((m) => isSame(m, who, 'Apply'));
  const others = managers.filter((m) => m !== own);
  const before = ownable(live);
  let merged = mergeApplied(before, config, schema) as JsonObject;

  const { changed } = compareValues(before, merged, schema);
  const conflicts: { manager: Manager; fields: string[] }[] = [];
  for (const m of others) {
    const contested = m.fields.intersection(changed);
    if (contested.isEmpty) continue;
    if (force) m.fields = m.fields.difference(contested);
    else conflicts.push({ manager: m, fields: contested.paths() });
  }
  if (conflicts.length > 0) throw conflictError(conflicts);

  if (own !== undefined) {
    const foreign = others.reduce((set, m) => set.union(m.fields), wanted);
    const dropped = own.fields.difference(wanted).difference(foreign);
    merged = (removeFields(merged, schema, dropped, foreign) ?? {}) as JsonObject;
  }

  const isUnchanged = own !== undefined && own.fields.equals(wanted);
  if (own === undefined) {
    own = {
      name: who.manager,
      operation: 'Apply',
      subresource: who.subresource,
      apiVersion: '',
      time: '',
      fields: wanted,
    };
    managers.push(own);
  }
  own.fields = wanted;
  own.apiVersion = who.apiVersion;
  if (!isUnchanged || own.time === '') own.time = timestamp();

  const { metadata, ...rest } = merged;
  const base = live?.metadata ?? applied.metadata;
  const kept: JsonObject = {};
  for (const [k, v] of Object.entries(base)) if (systemMetadata.has(k) && v !== undefined) kept[k] = v;
  const result = {
    apiVersion: applied.apiVersion,
    kind: applied.kind,
    ...rest,
    metadata: { ...kept, ...(isObject(metadata) ? metadata : {}) },
  } as KubeObject;
  writeManagers(result, managers);
  return result;
}
