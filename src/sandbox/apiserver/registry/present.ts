import { apiVersionOf, type KubeObject } from '../object.js';
import type { Resource } from './resource.js';

/** The stored object as the resource's version shows it. */
export function present(stored: KubeObject, resource: Resource): KubeObject {
  if (resource.convert !== undefined) return resource.convert.fromStorage(stored);
  const apiVersion = apiVersionOf(resource.group, resource.version);
  return stored.apiVersion === apiVersion && stored.kind === resource.kind
    ? stored
    : { ...stored, apiVersion, kind: resource.kind };
}

/** An object of the resource's version in the form that is stored. */
export function toStorage(object: KubeObject, resource: Resource): KubeObject {
  return resource.convert === undefined ? object : resource.convert.toStorage(object);
}

/** The apiVersion and kind of a resource. */
export function typeOf(resource: Resource): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(resource.group, resource.version), kind: resource.kind };
}
