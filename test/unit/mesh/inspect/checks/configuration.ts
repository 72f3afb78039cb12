import type { Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { Configuration, kindKey, type KnownObjects } from '#mesh/inspect/configuration/configuration.js';
import { assumedSettings } from '#mesh/inspect/mesh-settings.js';

const meshNamespace = 'istio-system';

/** A configuration of the given objects, all of their kinds, under the default settings. */
export function configurationOf(
  objects: readonly (readonly [Resource, readonly KubeObject[]])[],
): Configuration {
  const kinds = new Map<string, KnownObjects>();
  for (const [resource, list] of objects) kinds.set(kindKey(resource), { objects: list, seen: 'all' });
  return new Configuration({
    kinds,
    settings: assumedSettings(meshNamespace),
    meshNamespace,
    namespaces: undefined,
    unseen: [],
  });
}
