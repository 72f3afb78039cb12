import { type JsonObject, stringOf } from '../../base/json.js';
import type { ResourcePath } from '../http/request-info.js';
import type { ApiObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { ServedResource } from '../registry/resource.js';
import type { WriteOptions } from '../registry/write-options.js';

const kinds: Readonly<Record<string, string>> = {
  exec: 'PodExecOptions',
  attach: 'PodAttachOptions',
  portforward: 'PodPortForwardOptions',
};

/** The options of a connection (`exec`, `attach`, `portforward`, `proxy`) as its query and path give them. */
function connectOptions(path: ResourcePath, resource: ServedResource, query: URLSearchParams): JsonObject {
  const kind = kinds[path.subresource];
  const isSet = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  if (kind === undefined) return { kind: `${resource.kind}ProxyOptions`, path: `/${path.rest}` };
  if (kind === 'PodPortForwardOptions') {
    const ports = query.getAll('ports').flatMap((p) => p.split(',').map(Number));
    return { kind, ...(ports.length === 0 ? {} : { ports }) };
  }
  const container = query.get('container') ?? '';
  const command = query.getAll('command');
  return {
    kind,
    ...Object.fromEntries(
      ['stdin', 'stdout', 'stderr', 'tty'].filter(isSet).map((name): [string, boolean] => [name, true]),
    ),
    ...(container === '' ? {} : { container }),
    ...(kind === 'PodExecOptions' && command.length > 0 ? { command } : {}),
  };
}

/** Takes a connection through admission, before anything is connected. */
export async function admitConnection(
  operations: Operations,
  resource: ServedResource,
  path: ResourcePath,
  query: URLSearchParams,
  options: Pick<WriteOptions, 'user' | 'warnings'>,
): Promise<void> {
  const shown = connectOptions(path, resource, query);
  const type = { group: '', version: 'v1', kind: stringOf(shown.kind) };
  const object: JsonObject = { ...shown, apiVersion: 'v1' };
  await operations.admitBody(
    'CONNECT',
    resource,
    { namespace: path.namespace, name: path.name ?? '' },
    // Options have no metadata; admission takes namespace and name from the target.
    { type, object: object as ApiObject },
    { ...options, manager: '', subresource: path.subresource },
  );
}
