import { isObject, type JsonObject, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import { FieldSet } from './field-set.js';

/** Beyond this many managers with operation Update, the oldest are folded into one. */
const updateManagersMax = 10;

/** Metadata that the server owns: no manager ever does. */
export const systemMetadata: ReadonlySet<string> = new Set([
  'name',
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

/** One entry of managedFields. */
export interface FieldManager {
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

/** The part of an object whose fields managers can own; the metadata is always there, if empty. */
export function ownable(object: ApiObject | undefined): JsonObject {
  if (object === undefined) return { metadata: {} };
  const { apiVersion: _a, kind: _k, metadata, ...rest } = object;
  const meta: JsonObject = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (!systemMetadata.has(key) && value !== undefined) meta[key] = value;
  }
  return { metadata: meta, ...rest };
}

/** Reads managedFields; entries that make no sense are left out. Throws RangeError for absurdly nested ones. */
export function readManagers(entries: readonly JsonObject[] | undefined): FieldManager[] {
  const managers: FieldManager[] = [];
  for (const entry of entries ?? []) {
    if (!isObject(entry) || !isObject(entry.fieldsV1)) continue;
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

/** Whether the entry is the writer's own for an operation. */
export function isManagerOf(
  m: FieldManager,
  who: WriterIdentity,
  operation: FieldManager['operation'],
): boolean {
  return m.name === who.manager && m.operation === operation && m.subresource === who.subresource;
}

function foldOldUpdates(managers: FieldManager[]): FieldManager[] {
  const updates = managers.filter((m) => m.operation === 'Update').sort((a, b) => (a.time < b.time ? -1 : 1));
  if (updates.length <= updateManagersMax) return managers;
  const old = updates.slice(0, updates.length - updateManagersMax + 1);
  const folded: FieldManager = {
    name: 'ancient-changes',
    operation: 'Update',
    subresource: '',
    apiVersion: old.at(-1)?.apiVersion ?? '',
    time: old.at(-1)?.time ?? timestamp(),
    fields: old.reduce((set, m) => set.union(m.fields), new FieldSet()),
  };
  return [...managers.filter((m) => !old.includes(m)), folded];
}

/** Applied configurations first, then by age and name. */
function compareManagers(a: FieldManager, b: FieldManager): number {
  const keys = (m: FieldManager): string[] => [m.operation, m.time, m.name, m.apiVersion, m.subresource];
  const theirs = keys(b);
  for (const [i, key] of keys(a).entries()) {
    const other = theirs[i] ?? '';
    if (key !== other) return key < other ? -1 : 1;
  }
  return 0;
}

/** Stores managers in an object, in place. */
export function writeManagers(object: ApiObject, managers: readonly FieldManager[]): void {
  const kept = foldOldUpdates(managers.filter((m) => !m.fields.isEmpty)).sort(compareManagers);
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
