import { cloneJson } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { KeptByStatus, ServedResource } from './resource.js';

/** The object as a write at an endpoint leaves it: all but status, or only status. */
export function mergeWritten(
  resource: ServedResource,
  old: ApiObject,
  draft: ApiObject,
  subresource: string,
): ApiObject {
  if (subresource === 'status') {
    const metadata = resource.isCustom
      ? {
          ...cloneJson(old.metadata),
          ...(draft.metadata.managedFields === undefined
            ? {}
            : { managedFields: draft.metadata.managedFields }),
        }
      : withKept(draft.metadata, old.metadata, resource.strategy.keptByStatus ?? []);
    const next: ApiObject = { ...cloneJson(old), metadata };
    if (draft.status === undefined) delete next.status;
    else next.status = draft.status;
    return next;
  }
  if (resource.hasStatus && subresource === '') {
    const next: ApiObject = { ...draft };
    if (old.status === undefined) delete next.status;
    else next.status = cloneJson(old.status);
    return next;
  }
  return draft;
}

function withKept(
  metadata: ApiObject['metadata'],
  old: ApiObject['metadata'],
  fields: readonly KeptByStatus[],
): ApiObject['metadata'] {
  const next = { ...metadata };
  for (const field of fields) {
    if (old[field] === undefined) delete next[field];
    else Object.assign(next, { [field]: cloneJson(old[field]) });
  }
  return next;
}

/** An applied configuration without the part that its endpoint does not write. */
export function configFor(applied: ApiObject, resource: ServedResource, subresource: string): ApiObject {
  if (subresource === 'status') {
    const { apiVersion, kind, metadata, status } = applied;
    return { apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
  }
  if (!resource.hasStatus) return applied;
  const { status: _status, ...rest } = applied;
  return rest as ApiObject;
}
