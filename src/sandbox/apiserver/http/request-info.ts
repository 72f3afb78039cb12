/** A request's path taken apart the way authorization sees it. */
export interface ResourcePath {
  readonly kind: 'resource';
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
  readonly subresource: string;
  /** What follows the subresource (pod and service proxy). */
  readonly rest: string;
  /** The obsolete /watch/ form. */
  readonly isWatchPath: boolean;
}

export interface OtherPath {
  readonly kind: 'path';
  readonly path: string;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Malformed escapes name no object; keep them so that the answer is 404.
    return part;
  }
}

/** Takes a URL path apart. */
export function parsePath(path: string): ResourcePath | OtherPath {
  const parts = path
    .split('/')
    .filter((p) => p !== '')
    .map(decoded);
  const isCore = parts[0] === 'api';
  const isGrouped = parts[0] === 'apis';
  const head = isCore ? 2 : 3;
  if ((!isCore && !isGrouped) || parts.length <= head) return { kind: 'path', path };
  const group = isCore ? '' : (parts[1] ?? '');
  const version = (isCore ? parts[1] : parts[2]) ?? '';
  let rest = parts.slice(head);
  const isWatchPath = rest[0] === 'watch' && rest.length > 1;
  if (isWatchPath) rest = rest.slice(1);
  let namespace: string | undefined;
  if (rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') {
    namespace = rest[1];
    rest = rest.slice(2);
  }
  const [plural = '', name, subresource = '', ...more] = rest;
  return {
    kind: 'resource',
    group,
    version,
    namespace,
    plural,
    name,
    subresource,
    rest: more.join('/'),
    isWatchPath,
  };
}
