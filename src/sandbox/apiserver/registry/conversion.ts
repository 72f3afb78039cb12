import { apiVersionOf, type KubeObject } from '../object.js';
import type { Resource } from './resource.js';

/** An object of one version of a resource as another version of it. */
export async function convertObject(object: KubeObject, from: Resource, to: Resource): Promise<KubeObject> {
  const stored = from.convert === undefined ? object : from.convert.toStorage(object);
  if (to.convert !== undefined) return to.convert.fromStorage(stored);
  return { ...stored, apiVersion: apiVersionOf(to.group, to.version), kind: to.kind };
}
