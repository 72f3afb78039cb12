import { apiError } from './api-error.js';
import { isObject, type JsonObject } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Resource } from '../registry/resource.js';
import type { Store } from '../storage/store.js';

interface Cursor {
  readonly revision: number;
  readonly after: string;
}

function keyOf(o: KubeObject): string {
  return `${o.metadata.namespace ?? ''}/${o.metadata.name}`;
}

function parseCursor(token: string): Cursor {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (isObject(value) && typeof value.rv === 'number' && typeof value.start === 'string') {
      return { revision: value.rv, after: value.start };
    }
  } catch {
    // Falls through to the refusal below: the token is not one of ours.
  }
  throw apiError.badRequest('continue key is not valid: it was not issued by this server');
}

/**
 * Cuts a page out of a sorted list. Later pages show the objects as they are
 * now under the first page's revision, so a watch from that revision catches
 * up on whatever changed in between; once that revision has left the watch
 * window the token is answered with 410, as by Kubernetes.
 */
export function pageOf(
  sorted: readonly KubeObject[],
  store: Store,
  options: {
    limit: string | null;
    continueToken: string | null;
    resourceVersion: string | null;
    match: string | null;
    resource: Resource;
  },
): { items: readonly KubeObject[]; metadata: JsonObject } {
  const { continueToken, resourceVersion, match } = options;
  const limit = options.limit === null || options.limit === '' ? 0 : Number(options.limit);
  if (!Number.isInteger(limit) || limit < 0)
    throw apiError.badRequest(`limit: Invalid value: ${JSON.stringify(options.limit)}`);
  if (resourceVersion !== null && resourceVersion !== '' && !/^\d+$/.test(resourceVersion)) {
    throw apiError.badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(resourceVersion)}: must be an unsigned integer`,
    );
  }
  if (match === 'Exact' && resourceVersion !== null && Number(resourceVersion) !== store.revision) {
    if (store.since(options.resource.storage, Number(resourceVersion))?.length !== 0) {
      throw apiError.expired(
        `The provided resource version is too old: ${resourceVersion} (${store.revision})`,
      );
    }
  }
  let items = sorted;
  let revision = store.revision;
  if (continueToken !== null && continueToken !== '') {
    const cursor = parseCursor(continueToken);
    if (store.since(options.resource.storage, cursor.revision) === undefined) {
      throw apiError.expired(
        'The provided continue parameter is too old to display a consistent list result.',
      );
    }
    revision = cursor.revision;
    items = items.filter((o) => keyOf(o) > cursor.after);
  }
  if (limit === 0 || items.length <= limit) return { items, metadata: { resourceVersion: String(revision) } };
  const page = items.slice(0, limit);
  const last = page.at(-1);
  const token = Buffer.from(JSON.stringify({ rv: revision, start: last === undefined ? '' : keyOf(last) }));
  return {
    items: page,
    metadata: {
      resourceVersion: String(revision),
      continue: token.toString('base64url'),
      remainingItemCount: items.length - limit,
    },
  };
}
