import { parseAllDocuments } from 'yaml';
import { groupVersionOf, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { ConfigurationCheck } from '#mesh/inspect/checks/configuration-check.js';
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

/** What a check finds in a whole cluster of the objects of a YAML text, as code and message. */
export function foundIn(check: ConfigurationCheck, text: string): readonly string[] {
  const objects = parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as KubeObject | null;
    return object === null ? [] : [object];
  });
  const kinds = check.reads.map(
    (resource) =>
      [
        resource,
        objects.filter(
          ({ apiVersion, kind }) =>
            kind === resource.kind && groupVersionOf(apiVersion).group === resource.group,
        ),
      ] as const,
  );
  return check.run(configurationOf(kinds)).map(({ code, message }) => `${code} ${message}`);
}
