import { groupVersionOf, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { MeshSettings } from '../mesh-settings.js';
import { Configuration, kindKey, type KnownObjects } from './configuration.js';
import type { Manifests } from './manifest-files.js';

/** What files are put over. */
export interface FileContext {
  /** What the cluster has; undefined: the files are all there is. */
  readonly live: Configuration | undefined;
  readonly settings: MeshSettings;
  readonly meshNamespace: string;
  /** For objects that name no namespace. */
  readonly namespace: string;
  /** Kinds that matter. */
  readonly resources: readonly Resource[];
}

/**
 * The configuration as it would be with the files applied. Alone, files are believed to hold all objects of a kind in a
 * namespace as soon as they hold one: of what they hold none, they say nothing.
 */
export function configurationOfFiles(manifests: Manifests, context: FileContext): Configuration {
  const { live, resources } = context;
  const places = new Map<KubeObject, string>();
  const kinds = new Map<string, KnownObjects>();
  const known = new Map(resources.map((resource) => [kindKey(resource), resource]));
  const ofFiles = new Map<string, Map<string, KubeObject>>();
  for (const { object, place } of manifests.objects) {
    const key = kindKey({ group: groupVersionOf(object.apiVersion).group, kind: object.kind });
    const resource = known.get(key);
    if (resource === undefined) continue;
    const placed = inNamespace(object, resource, context.namespace);
    places.set(placed, place);
    const own = ofFiles.get(key) ?? new Map<string, KubeObject>();
    own.set(nameOf(placed), placed);
    ofFiles.set(key, own);
  }
  for (const key of known.keys()) {
    const own = ofFiles.get(key) ?? new Map<string, KubeObject>();
    const resource = known.get(key);
    const before = resource === undefined ? [] : (live?.list(resource) ?? []);
    const objects = [...before.filter((object) => !own.has(nameOf(object))), ...own.values()];
    kinds.set(key, { objects, seen: seenOf(resource, live, own.values()) });
  }
  return new Configuration({
    kinds,
    settings: context.settings,
    meshNamespace: context.meshNamespace,
    namespaces: undefined,
    unseen: live?.unseen ?? [],
    places,
  });
}

function seenOf(
  resource: Resource | undefined,
  live: Configuration | undefined,
  own: Iterable<KubeObject>,
): KnownObjects['seen'] {
  if (resource !== undefined && live !== undefined) return live.seenOf(resource);
  const namespaces = new Set([...own].map(({ metadata }) => metadata.namespace ?? ''));
  return namespaces;
}

function inNamespace(object: KubeObject, resource: Resource, namespace: string): KubeObject {
  if (!resource.isNamespaced || (object.metadata.namespace ?? '') !== '') return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
