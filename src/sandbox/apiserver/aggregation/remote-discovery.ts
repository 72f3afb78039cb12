import { type JsonObject, stringOf } from '../../base/json.js';
import type { RemoteApi } from './remote-apis.js';

/** What other API servers said they serve, as they last said it. */
export class RemoteDiscovery {
  readonly #resources = new Map<string, readonly JsonObject[]>();

  /** Keeps the resources of a group version, by the name of its APIService. */
  remember(name: string, resources: readonly JsonObject[]): void {
    this.#resources.set(name, resources);
  }

  forget(name: string): void {
    this.#resources.delete(name);
  }

  /** A version of a group in the form of aggregated discovery. */
  version(remote: RemoteApi): JsonObject {
    return {
      version: remote.version,
      freshness: remote.isAvailable ? 'Current' : 'Stale',
      resources: aggregated(this.#resources.get(remote.name) ?? []),
    };
  }
}

/** Resources of a plain list with the subresources, which it names behind a slash, inside them. */
function aggregated(listed: readonly JsonObject[]): JsonObject[] {
  // A plain list names the group and version only where they are not its own; so does Kubernetes here.
  const kindOf = (r: JsonObject): JsonObject => ({
    group: stringOf(r.group),
    version: stringOf(r.version),
    kind: stringOf(r.kind),
  });
  return listed
    .filter((r) => !stringOf(r.name).includes('/'))
    .map((r) => {
      const name = stringOf(r.name);
      const subresources = listed
        .filter((s) => stringOf(s.name).startsWith(`${name}/`))
        .map((s) => ({
          subresource: stringOf(s.name).slice(name.length + 1),
          responseKind: kindOf(s),
          verbs: s.verbs ?? [],
        }));
      return {
        resource: name,
        responseKind: kindOf(r),
        scope: r.namespaced === true ? 'Namespaced' : 'Cluster',
        singularResource: stringOf(r.singularName) || stringOf(r.kind).toLowerCase(),
        verbs: r.verbs ?? [],
        ...(r.shortNames === undefined ? {} : { shortNames: r.shortNames }),
        ...(r.categories === undefined ? {} : { categories: r.categories }),
        ...(subresources.length === 0 ? {} : { subresources }),
      };
    });
}
