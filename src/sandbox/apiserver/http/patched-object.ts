import type { ApiObject } from '../object.js';
import { decodeObject } from '../registry/decode.js';
import { typeOf } from '../registry/present.js';
import type { ServedResource } from '../registry/resource.js';
import type { WriteOptions } from '../registry/write-options.js';
import { apiError } from '../api-error.js';
import { objectFrom } from './object-form.js';
import { applyPatch, decodePatched, type Patch } from './patch-request.js';

/** The object a JSON, merge or strategic patch makes of another. Throws 400 and 422. */
export function patchedObject(
  patch: Patch,
  current: ApiObject,
  resource: ServedResource,
  options: WriteOptions,
): ApiObject {
  const patched = applyPatch(patch, current, resource.schema);
  const draft = decodePatched(patch, patched, () =>
    decodeObject(resource, current.metadata.namespace, objectFrom(patched, typeOf(resource)), options),
  );
  const { name } = draft.metadata;
  if (name === '') {
    throw apiError.badRequest(
      `the name of the object (${current.metadata.name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (name !== current.metadata.name) {
    throw apiError.badRequest(
      `the name of the object (${name}) does not match the name on the URL (${current.metadata.name})`,
    );
  }
  return draft;
}
