import type { KubeClient } from '#base/kube/client.js';
import type { Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { ObjectCache } from '../cache/object-cache.js';
import { canonicalJson } from './template-hash.js';

/**
 * Replaces an object's status when it differs. The write carries the version the
 * status was computed from, so a stale view is refused (409) and tried again.
 */
export async function writeStatus<T extends KubeObject & { status?: unknown }>(
  client: KubeClient,
  at: { readonly resource: Resource; readonly cache: ObjectCache<T> },
  object: T,
  status: T['status'],
): Promise<T> {
  if (significantJson(object.status) === significantJson(status)) return object;
  const { name, namespace } = object.metadata;
  const written = await client.update<T>(
    { resource: at.resource, name, namespace, subresource: 'status' },
    { ...object, status },
  );
  at.cache.remember(written);
  return written;
}

/** The API drops most zeros and empty values from what it stores: they must not count as a difference. */
function significantJson(status: unknown): string {
  return canonicalJson(significant(status ?? {}));
}

function significant(value: unknown): unknown {
  if (Array.isArray(value))
    return value.length === 0 ? undefined : value.map((each) => significant(each) ?? null);
  if (typeof value !== 'object' || value === null)
    return value === 0 || value === '' || value === false ? undefined : value;
  const entries = Object.entries(value).map(([key, each]): [string, unknown] => [key, significant(each)]);
  const kept = entries.filter(([, each]) => each !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
