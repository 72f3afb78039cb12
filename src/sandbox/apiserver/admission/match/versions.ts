import type { ApiObject } from '../../object.js';
import { convertObject } from '../../registry/conversion.js';
import type { ServedResource } from '../../registry/resource.js';
import type { AdmissionRequest } from '../../registry/admission.js';

/** The objects of a request as webhooks and expressions see them; absent ones are null. */
export interface VersionedObjects {
  readonly object: ApiObject | null;
  readonly old: ApiObject | null;
}

/** The objects of a request in the version of its resource under which it matched. */
export async function inVersion(request: AdmissionRequest, as: ServedResource): Promise<VersionedObjects> {
  const { resource, bodyType, operation } = request;
  const show = async (object: ApiObject | undefined): Promise<ApiObject | null> => {
    if (object === undefined) return null;
    // Bodies of subresources have one form only.
    return as === resource || bodyType !== undefined ? object : convertObject(object, resource, as);
  };
  return {
    object: operation === 'DELETE' ? null : await show(request.object),
    old: await show(request.old),
  };
}
