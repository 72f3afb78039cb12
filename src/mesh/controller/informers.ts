import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import * as resources from '#base/kube/resource.js';
import type { ConfigMap, KubeObject } from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { SourceCollection } from './graph/graph.js';
import { meshKey, statusKey, type Inputs } from './model/inputs.js';
import { type KindName, type KindRow, kinds } from './model/kinds.js';
import { type MeshConfig, meshConfigMap, parseMeshConfig } from '../rules/mesh-config.js';

export interface InformerDeps {
  readonly client: KubeClient;
  readonly inputs: Inputs;
  readonly systemNamespace: string;
  readonly meshDefaults: MeshConfig;
  readonly log: Logger;
}

/**
 * Watches every kind of the table and keeps the inputs equal to it, until the signal ends. Resolves when all have been
 * read once; kinds that do not exist count as empty.
 */
export async function startInformers(deps: InformerDeps, signal: AbortSignal): Promise<void> {
  const names = Object.keys(kinds) as KindName[];
  const all = [...names.map((name) => kindReflector(deps, name)), meshConfigReflector(deps)];
  for (const reflector of all) reflector.start(signal);
  await Promise.all(all.map((reflector) => reflector.synced()));
}

function kindReflector(deps: InformerDeps, name: KindName): Reflector<KubeObject> {
  const row: KindRow<never, unknown> = kinds[name];
  const facts = row.facts as (object: KubeObject) => unknown;
  const input = deps.inputs[name] as SourceCollection<unknown>;
  const reflector = new Reflector<KubeObject>({
    client: deps.client,
    resource: row.resource,
    ...(row.labelSelector === undefined ? {} : { labelSelector: row.labelSelector }),
    // Everything else is in the inputs.
    keep: identityOf,
    onError: onErrorOf(deps),
  });
  reflector.onChange(({ type, key, received }) => {
    const present = type === 'deleted' ? undefined : received;
    if (row.status !== undefined)
      deps.inputs.liveStatuses.set(statusKey(name, key), present && liveStatusOf(present));
    try {
      input.set(key, present && facts(present));
    } catch (error) {
      // One object that cannot be read must not keep the others of its kind from being followed.
      deps.log.error('an object cannot be used, keeping what it last meant', {
        object: `${row.resource.kind} ${key}`,
        error: messageOf(error),
      });
    }
  });
  return reflector;
}

function identityOf({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { namespace, name, resourceVersion = '' } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, resourceVersion, ...(namespace === undefined ? {} : { namespace }) },
  };
}

function liveStatusOf(object: KubeObject & { readonly status?: Readonly<Record<string, unknown>> }) {
  return { resourceVersion: object.metadata.resourceVersion ?? '', status: object.status ?? {} };
}

/** Follows the mesh options. Options that cannot be read leave the last good ones in force. */
function meshConfigReflector(deps: InformerDeps): Reflector<ConfigMap> {
  const reflector = new Reflector<ConfigMap>({
    client: deps.client,
    resource: resources.configMaps,
    namespace: deps.systemNamespace,
    fieldSelector: `metadata.name=${meshConfigMap.name}`,
    onError: onErrorOf(deps),
  });
  reflector.onChange(({ type, object }) => {
    // A server that ignores the field selector must not make another ConfigMap the mesh options.
    if (object.metadata.name !== meshConfigMap.name) return;
    const text = type === 'deleted' ? '' : (object.data?.[meshConfigMap.key] ?? '');
    try {
      deps.inputs.mesh.set(meshKey, parseMeshConfig(text, deps.meshDefaults));
    } catch (error) {
      deps.log.error('the mesh options cannot be used, keeping the last good ones', {
        error: messageOf(error),
      });
    }
  });
  return reflector;
}

function onErrorOf({ log }: InformerDeps): (message: string) => void {
  return (message) => log.warn('watch failed, retrying', { error: message });
}
