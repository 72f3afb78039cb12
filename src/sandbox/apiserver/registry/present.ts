import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { ServedResource } from './resource.js';

/** Resolves when `present` can show these objects. At once, but where a webhook converts versions. */
export async function preparePresent(stored: readonly ApiObject[], resource: ServedResource): Promise<void> {
  if (resource.conversion !== undefined) await resource.conversion.prepare(stored);
}

/** The stored object as the resource's version shows it. Prepare it first. */
export function present(stored: ApiObject, resource: ServedResource): ApiObject {
  if (resource.conversion !== undefined) return resource.conversion.shown(stored);
  if (resource.convert !== undefined) return resource.convert.fromStorage(stored);
  const apiVersion = apiVersionOf(resource);
  return stored.apiVersion === apiVersion && stored.kind === resource.kind
    ? stored
    : { ...stored, apiVersion, kind: resource.kind };
}

/** An object of the resource's version in the form that is stored. */
export async function toStorage(object: ApiObject, resource: ServedResource): Promise<ApiObject> {
  if (resource.conversion !== undefined) return resource.conversion.toStorage(object);
  return resource.convert === undefined ? object : resource.convert.toStorage(object);
}

/** What was just stored, as its writer's version shows it. */
export function presentWritten(stored: ApiObject, written: ApiObject, resource: ServedResource): ApiObject {
  resource.conversion?.remember(stored, written);
  return present(stored, resource);
}

/** The apiVersion and kind of a resource. */
export function typeOf(resource: ServedResource): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind };
}
