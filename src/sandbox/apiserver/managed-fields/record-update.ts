import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { Schema } from '../schema/schema.js';
import { toWireForm } from '../schema/wire-form.js';
import {
  type FieldManager,
  isManagerOf,
  ownable,
  readManagers,
  type WriterIdentity,
  writeManagers,
} from './field-managers.js';
import { FieldSet } from './field-set.js';
import { compareValues } from './typed-value.js';

/** An explicit list of one empty entry, or of none, is how clients ask for ownership to be forgotten. */
function isReset(object: ApiObject): boolean {
  const entries = object.metadata.managedFields;
  if (entries === undefined) return false;
  return entries.length === 0 || (entries.length === 1 && Object.keys(entries[0] ?? {}).length === 0);
}

/** An object of a built-in kind with nothing in it but what is always written: that comes from nobody. */
function emptyOf(object: ApiObject, schema: Schema): ApiObject {
  const empty = { apiVersion: object.apiVersion, kind: object.kind, metadata: { name: '' } } as ApiObject;
  toWireForm(empty, schema);
  return empty;
}

/** The owners a write starts from: those it sent along itself, if it did, else those there are. */
function startingManagers(
  before: ApiObject | undefined,
  after: ApiObject,
  who: WriterIdentity,
): FieldManager[] {
  if (who.subresource !== '') return readManagers(before?.metadata.managedFields);
  if (isReset(after)) return [];
  const sent = readManagers(after.metadata.managedFields);
  return sent.length > 0 ? sent : readManagers(before?.metadata.managedFields);
}

/**
 * Records, in place on `after`, who owns what after a create, update or patch:
 * the writer owns what it changed, and others lose what it changed or removed.
 */
export function recordUpdate(
  before: ApiObject | undefined,
  after: ApiObject,
  schema: Schema,
  who: WriterIdentity,
  options: { readonly isCustom: boolean } = { isCustom: false },
): void {
  const wasReset = before !== undefined && isReset(after);
  const managers = startingManagers(before, after, who);
  const was = before ?? (options.isCustom ? undefined : emptyOf(after, schema));
  const { changed, removed } = compareValues(ownable(was), ownable(after), schema);
  const touched = changed.union(removed);
  changed.isMember = false;
  let own = managers.find((m) => isManagerOf(m, who, 'Update'));
  for (const m of managers) {
    if (m !== own) m.fields = m.fields.difference(touched);
  }
  if (!changed.isEmpty && !wasReset) {
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
