import { equalJson, isObject, type Json, type JsonObject } from '../../base/json.js';
import type { ApiObject, ApiObjectMeta } from '../object.js';

/** Puts back, in place, the metadata that clients cannot change, and drops empty collections. */
export function restoreSystemMetadata(next: ApiObjectMeta, old: ApiObjectMeta): void {
  next.uid = old.uid;
  next.name = old.name;
  next.creationTimestamp = old.creationTimestamp;
  next.resourceVersion = old.resourceVersion;
  delete next.selfLink;
  if (old.namespace !== undefined) next.namespace = old.namespace;
  for (const key of ['generation', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if (old[key] === undefined) delete next[key];
    else (next as JsonObject)[key] = old[key];
  }
  dropEmptyCollections(next);
}

/** Drops, in place, metadata collections that hold nothing. */
export function dropEmptyCollections(meta: ApiObjectMeta): void {
  for (const key of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    const value: Json | undefined = meta[key];
    const isBlank =
      value === null ||
      (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);
    if (isBlank) delete meta[key];
  }
}

/** Whether two versions of an object want the same: everything but metadata and status. */
export function isSpecEqual(a: ApiObject, b: ApiObject): boolean {
  const strip = ({ metadata: _m, status: _s, apiVersion: _a, kind: _k, ...rest }: ApiObject): JsonObject =>
    rest;
  return equalJson(strip(a), strip(b));
}

/** Equal but for the bookkeeping that alone must not cause a new version. */
export function equalApart(a: ApiObject, b: ApiObject): boolean {
  const strip = (o: ApiObject): JsonObject => {
    const { resourceVersion: _r, managedFields, ...meta } = o.metadata;
    const owners = (managedFields ?? []).map(({ time: _t, ...entry }) => entry);
    return { ...o, metadata: { ...meta, managedFields: owners } };
  };
  return equalJson(strip(a), strip(b));
}
