import { counted } from '#base/collections/counted.js';
import { ApiError } from '../api-error.js';
import { isObject, type Json, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { Schema } from '../schema/schema.js';
import {
  type FieldManager,
  isManagerOf,
  ownable,
  readManagers,
  systemMetadata,
  type WriterIdentity,
  writeManagers,
} from './field-managers.js';
import { lastAppliedFields, lastAppliedManager, syncLastApplied } from './last-applied.js';
import { compareValues, occupiedFields, mergeApplied, removeFields } from './typed-value.js';

interface Conflict {
  readonly manager: FieldManager;
  readonly fields: string[];
}

function nameOf({ name, subresource, operation, apiVersion }: FieldManager): string {
  return `${JSON.stringify(name)}${subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`}${operation === 'Update' ? ` using ${apiVersion}` : ''}`;
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes = conflicts.flatMap(({ manager, fields }) =>
    fields.map(
      (field): JsonObject => ({
        reason: 'FieldManagerConflict',
        message: `conflict with ${nameOf(manager)}`,
        field,
      }),
    ),
  );
  const [first] = conflicts;
  const text =
    causes.length === 1 && first !== undefined
      ? `conflict with ${nameOf(first.manager)}: ${first.fields[0]}`
      : conflicts
          .map(({ manager, fields }) => ({ who: nameOf(manager), fields }))
          .sort((a, b) => (a.who < b.who ? -1 : 1))
          .map(({ who, fields }) => `conflicts with ${who}:\n${fields.map((f) => `- ${f}`).join('\n')}`)
          .join('\n');
  return new ApiError(409, 'Conflict', `Apply failed with ${counted(causes.length, 'conflict')}: ${text}`, {
    causes,
  });
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
  readonly live: ApiObject | undefined;
  readonly applied: ApiObject;
  readonly schema: Schema;
  readonly who: WriterIdentity;
  readonly force: boolean;
}): ApiObject {
  const { live, applied, schema, who, force } = options;
  // The casts restate that laying an object over an object gives an object.
  const config = withoutNulls(ownable(applied)) as JsonObject;
  // A name alone is no wish for anything.
  if (isObject(config.metadata) && Object.keys(config.metadata).length === 0) delete config.metadata;
  const wanted = occupiedFields(config, schema);
  wanted.isMember = false;
  const managers = readManagers(live?.metadata.managedFields);
  let own = managers.find((m) => isManagerOf(m, who, 'Apply'));
  const others = managers.filter((m) => m !== own);
  const before = ownable(live);
  let merged = mergeApplied(before, config, schema) as JsonObject;

  const { changed } = compareValues(before, merged, schema);
  const isKubectl = who.manager === lastAppliedManager;
  const allowed = isKubectl && !force ? lastAppliedFields(live, schema) : undefined;
  const conflicts: Conflict[] = [];
  for (const m of others) {
    const contested = m.fields.intersection(changed);
    const refused = allowed === undefined ? contested : contested.difference(allowed);
    if (!force && !refused.isEmpty) conflicts.push({ manager: m, fields: refused.paths() });
    m.fields = m.fields.difference(contested);
  }
  if (conflicts.length > 0) throw conflictError(conflicts);

  if (own !== undefined) {
    const foreign = others.reduce((set, m) => set.union(m.fields), wanted);
    const dropped = own.fields.difference(wanted).difference(foreign);
    merged = (removeFields(merged, schema, dropped, foreign) ?? {}) as JsonObject;
  }

  const isUnchanged = own?.fields.equals(wanted) === true;
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
  } as ApiObject;
  if (isKubectl) syncLastApplied(live, applied, result);
  writeManagers(result, managers);
  return result;
}
