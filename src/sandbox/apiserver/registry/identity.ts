import { apiError, type FieldError, fieldError } from '../api-error.js';
import type { ApiObject } from '../object.js';
import type { ServedResource } from './resource.js';

/** Throws 400 unless the object carries the name of the URL. */
export function assertNamed(object: ApiObject, name: string): void {
  const own = object.metadata.name;
  if (own === '') {
    throw apiError.badRequest(
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (own !== name) {
    throw apiError.badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
}

/** Throws unless the object written is the object that is there: 409 for a replacement, 422 for a patch. */
export function assertSameUid(
  resource: ServedResource,
  old: ApiObject,
  draft: ApiObject,
  isReplacement: boolean,
): void {
  const { uid } = draft.metadata;
  const { name, namespace } = old.metadata;
  if (uid === undefined || uid === '' || uid === old.metadata.uid) return;
  if (!isReplacement) {
    throw apiError.invalid(resource.kind, resource.group, name, [
      fieldError.invalid('metadata.uid', uid, 'field is immutable'),
    ]);
  }
  const key = ['/registry', ...(resource.isCustom ? [resource.group] : []), resource.plural];
  if (namespace !== undefined) key.push(namespace);
  throw apiError.conflict(
    resource,
    name,
    `StorageError: invalid object, Code: 4, Key: ${[...key, name].join('/')}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
  );
}

/** What is wrong with the finalizers of an object that is being deleted: none may be added any more. */
export function addedFinalizers(next: ApiObject, old: ApiObject): FieldError[] {
  if (old.metadata.deletionTimestamp === undefined) return [];
  const before = old.metadata.finalizers ?? [];
  const added = (next.metadata.finalizers ?? []).filter((f) => !before.includes(f));
  if (added.length === 0) return [];
  const shown = `[]string{${added.map((f) => JSON.stringify(f)).join(', ')}}`;
  const detail = 'no new finalizers can be added if the object is being deleted, found new finalizers';
  return [fieldError.forbidden('metadata.finalizers', `${detail} ${shown}`)];
}

/** Throws 422 when a write would begin a deletion: only a deletion does. */
export function assertNotDeleted(resource: ServedResource, draft: ApiObject, old: ApiObject): void {
  if (old.metadata.deletionTimestamp !== undefined) return;
  const { deletionTimestamp, deletionGracePeriodSeconds: seconds } = draft.metadata;
  const refuse = (field: string, shown: string): Error => {
    const message = `Invalid value: ${shown}: field is immutable`;
    return apiError.invalid(resource.kind, resource.group, old.metadata.name, [
      { reason: 'FieldValueInvalid', field: `metadata.${field}`, message },
    ]);
  };
  if (deletionTimestamp !== undefined) {
    const time = new Date(deletionTimestamp).toISOString();
    throw refuse('deletionTimestamp', `${time.slice(0, 10)} ${time.slice(11, 19)} +0000 UTC`);
  }
  if (seconds !== undefined) throw refuse('deletionGracePeriodSeconds', String(seconds));
}

/** Whether an object names the version it was made from; "0" is none, as it is no version of anything. */
export function isVersioned({ resourceVersion }: Partial<ApiObject['metadata']>): boolean {
  return typeof resourceVersion === 'string' && !/^0*$/.test(resourceVersion);
}

/** Throws 422 when the kind takes no unconditional updates and the object says nothing of its version. */
export function assertVersioned(resource: ServedResource, draft: ApiObject): void {
  if (resource.needsVersionOnUpdate !== true && !resource.isCustom) return;
  const { name } = draft.metadata;
  if (isVersioned(draft.metadata)) return;
  // Custom resources are named by their plural here.
  const named = resource.isCustom ? resource.plural : resource.kind;
  throw apiError.invalid(named, resource.group, name, [
    {
      reason: 'FieldValueInvalid',
      field: 'metadata.resourceVersion',
      message: 'Invalid value: 0x0: must be specified for an update',
    },
  ]);
}
