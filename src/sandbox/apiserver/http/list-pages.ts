import { isObject, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Store } from '../storage/store.js';
import { apiError } from '../api-error.js';
import { type ListQuery, revisionOf } from './list-options.js';

/** The revision in tokens that accept a list pieced together from different moments. */
const inconsistentRevision = -1;
const tokenVersion = 'meta.k8s.io/v1';

interface Cursor {
  readonly revision: number;
  /** Everything up to and including this key was given out. */
  readonly after: string;
}

function keyOf(o: ApiObject): string {
  return `${o.metadata.namespace ?? ''}/${o.metadata.name}`;
}

function tokenOf(cursor: Cursor): string {
  return Buffer.from(
    JSON.stringify({ v: tokenVersion, rv: cursor.revision, start: `${cursor.after}\u0000` }),
  ).toString('base64url');
}

function parseCursor(token: string): Cursor {
  const invalid = (why: string): Error =>
    apiError.badRequest(`invalid continue token: continue key is not valid: ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    throw invalid('it is not a token of this server');
  }
  if (!isObject(value) || value.v !== tokenVersion) {
    throw invalid('server does not recognize this encoded version');
  }
  if (typeof value.rv !== 'number' || !Number.isSafeInteger(value.rv) || value.rv === 0) {
    throw invalid('incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  }
  if (typeof value.start !== 'string' || value.start === '') {
    throw invalid('encoded start key empty (version meta.k8s.io/v1)');
  }
  const { start } = value;
  return { revision: value.rv, after: start.endsWith('\u0000') ? start.slice(0, -1) : start };
}

/** Refuses a revision from the future. */
export function assertReached(store: Store, revision: number): void {
  if (revision > store.revision) throw apiError.revisionTooLarge(revision, store.revision);
}

/** The objects of a resource, in key order, as the options date them. */
export interface DatedList {
  readonly objects: readonly ApiObject[];
  readonly revision: number;
  readonly limit: number;
}

/**
 * Finds the objects a list request means: the newest, those of an exact
 * revision, or the rest of an earlier list as it was when that began.
 * Throws 400, 410 or 504.
 */
export function datedList(
  store: Store,
  resource: string,
  namespace: string | undefined,
  options: ListQuery,
): DatedList {
  const { continueToken, resourceVersion, resourceVersionMatch } = options;
  const limit = Math.max(0, options.limit);
  const newest = (): DatedList => ({
    objects: store.list(resource, namespace),
    revision: store.revision,
    limit,
  });
  if (continueToken !== '') {
    const cursor = parseCursor(continueToken);
    if (resourceVersion !== '' && resourceVersion !== '0') {
      throw apiError.badRequest('specifying resource version is not allowed when using continue');
    }
    const isAfter = (o: ApiObject): boolean => keyOf(o) > cursor.after;
    if (cursor.revision < 0) {
      const now = newest();
      return { ...now, objects: now.objects.filter(isAfter) };
    }
    const objects = store.listAt(resource, cursor.revision, namespace);
    if (objects === undefined) {
      throw apiError.continueExpired(tokenOf({ ...cursor, revision: inconsistentRevision }));
    }
    return { objects: objects.filter(isAfter), revision: cursor.revision, limit };
  }
  if (resourceVersion === '') return newest();
  const revision = revisionOf(resourceVersion);
  // What the cache has is given whole: the limit is not looked at, as by Kubernetes.
  if (revision === 0) return { ...newest(), limit: 0 };
  assertReached(store, revision);
  if (resourceVersionMatch !== 'Exact') return newest();
  const objects = store.listAt(resource, revision, namespace);
  if (objects === undefined) {
    throw apiError.expired(`The provided resource version is too old: ${revision} (${store.revision})`);
  }
  return { objects, revision, limit };
}

/** Cuts the first page out of what a list found. `isFiltered` tells that selectors left objects out. */
export function pageOf(
  found: DatedList,
  isFiltered: boolean,
): { items: readonly ApiObject[]; metadata: JsonObject } {
  const { objects, limit } = found;
  const resourceVersion = String(found.revision);
  if (limit === 0 || objects.length <= limit) return { items: objects, metadata: { resourceVersion } };
  const items = objects.slice(0, limit);
  const last = items.at(-1);
  return {
    items,
    metadata: {
      resourceVersion,
      continue: tokenOf({ revision: found.revision, after: last === undefined ? '' : keyOf(last) }),
      // Not told with selectors, where counting would mean reading on.
      ...(isFiltered ? {} : { remainingItemCount: objects.length - limit }),
    },
  };
}
