import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import { toStorage } from './present.js';
import type { ServedResource } from './resource.js';

/** An object of one version of a resource as another version of it. */
export async function convertObject(
  object: ApiObject,
  from: ServedResource,
  to: ServedResource,
): Promise<ApiObject> {
  const stored = await toStorage(object, from);
  if (to.conversion !== undefined) {
    await to.conversion.prepare([stored]);
    return to.conversion.shown(stored);
  }
  if (to.convert !== undefined) return to.convert.fromStorage(stored);
  return { ...stored, apiVersion: apiVersionOf(to), kind: to.kind };
}
