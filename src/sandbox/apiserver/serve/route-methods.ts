import { type ServedResource, standardVerbs } from '../registry/resource.js';
import type { ResourcePath } from '../http/request-info.js';

const itemVerbs = ['get', 'update', 'patch', 'delete'];
const collectionVerbs = ['list', 'watch', 'create', 'deletecollection'];

/** Whether a resource, or its status, answers a verb at the form of path it was asked at. */
export function isServedMethod(
  resource: ServedResource,
  path: ResourcePath,
  verb: string,
  method: string,
): boolean {
  // Kubernetes routes no HEAD to its resources.
  if (method === 'HEAD') return false;
  if (path.subresource === 'status') return path.rest === '' && ['get', 'update', 'patch'].includes(verb);
  const verbs = resource.verbs ?? standardVerbs;
  if (!verbs.includes(verb)) return false;
  if (path.name !== undefined) return itemVerbs.includes(verb) || path.isWatchPath;
  if (!collectionVerbs.includes(verb)) return false;
  // Across namespaces there is only reading.
  if (resource.namespaced && path.namespace === undefined) return verb === 'list' || verb === 'watch';
  return true;
}
