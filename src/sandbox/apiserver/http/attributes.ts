import { queryFlag } from './query.js';
import type { ResourcePath } from './request-info.js';
import type { Attributes } from '../rbac/attributes.js';

/** The authorization verb of a request; methods that nothing serves are their own verb. */
export function verbOf(method: string, path: ResourcePath, url: URL): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (path.name !== undefined && !path.isWatchPath) return 'get';
      return path.isWatchPath || queryFlag(url.searchParams, 'watch') ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

/** What authorization sees of a resource request. */
export function attributesOf(path: ResourcePath, verb: string, url?: URL): Attributes {
  // A namespace itself is authorized inside itself, so that its admin may read it.
  const isNamespace = path.group === '' && path.plural === 'namespaces' && path.name !== undefined;
  return {
    kind: 'resource',
    verb,
    group: path.group,
    resource: path.plural,
    subresource: path.subresource,
    namespace: path.namespace ?? (isNamespace ? (path.name ?? '') : ''),
    name: path.name ?? selectedValue(url, 'metadata.name'),
    selectedNode: selectedValue(url, 'spec.nodeName'),
  };
}

/** The one value a list or watch asks for by field selector: rules limited to names apply to it, as in Kubernetes. */
function selectedValue(url: URL | undefined, field: string): string {
  for (const term of (url?.searchParams.get('fieldSelector') ?? '').split(',')) {
    const [name, value] = term.split(/==?(.*)/s);
    if (name === field && value !== undefined && value !== '') return value;
  }
  return '';
}
