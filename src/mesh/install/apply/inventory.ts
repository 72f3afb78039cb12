import { gunzipSync, gzipSync } from 'node:zlib';
import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { configMaps } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { contentHash } from '../render/content-hash.js';
import { managedBy, managedByLabel } from '../render/installation.js';
import type { ValueMap } from '../../templates/values.js';
import { fieldManager } from './field-manager.js';
import { nameOf } from './plan-changes.js';

/** Name of the ConfigMap that records an installation. */
export const inventoryName = 'meshctl-inventory';

/** What was installed, exactly: the base of prune, drift, rollback and uninstall. */
export interface Inventory {
  readonly version: string;
  readonly profile: string;
  readonly platform: string;
  /** What the user gave. */
  readonly given: ValueMap;
  /** Objects as applied, in the order of application. */
  readonly objects: readonly KubeObject[];
  /** False while an installation is under way, and after one that did not finish. */
  readonly isComplete: boolean;
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** Objects as applied, unpacked, are at most this large; CRDs are most of it. */
const manifestMaxBytes = 32 * 1024 * 1024;

/** Reads the record; undefined when nothing was installed. @throws MESH0309 when it cannot be understood */
export async function readInventory(client: KubeClient, namespace: string): Promise<Inventory | undefined> {
  const map = await client.getOrUndefined<ConfigMap>({
    resource: configMaps,
    name: inventoryName,
    namespace,
  });
  if (map === undefined) return undefined;
  const { data = {} } = map;
  try {
    const manifest = gunzipSync(Buffer.from(data['manifest'] ?? '', 'base64'), {
      maxOutputLength: manifestMaxBytes,
    });
    return {
      version: data['version'] ?? '',
      profile: data['profile'] ?? '',
      platform: data['platform'] ?? '',
      given: JSON.parse(data['values'] ?? '{}') as ValueMap,
      objects: JSON.parse(manifest.toString('utf8')) as KubeObject[],
      isComplete: data['state'] === 'complete',
    };
  } catch (error) {
    throw new MeshError('MESH0309', `ConfigMap ${namespace}/${inventoryName} cannot be read`, {
      evidence: error instanceof Error ? error.message : String(error),
      hint: 'Somebody changed it. "meshctl install" writes it anew; then run the command again.',
      cause: error,
    });
  }
}

/** Records an installation. */
export async function writeInventory(
  client: KubeClient,
  namespace: string,
  inventory: Inventory,
): Promise<void> {
  const references = inventory.objects.map((o) => `${contentHash(o)} ${o.apiVersion} ${nameOf(o)}`);
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: inventoryName,
      namespace,
      labels: { [managedByLabel]: managedBy, 'app.kubernetes.io/part-of': 'istio' },
    },
    data: {
      state: inventory.isComplete ? 'complete' : 'applying',
      version: inventory.version,
      profile: inventory.profile,
      platform: inventory.platform,
      values: JSON.stringify(inventory.given),
      // For people: hash, version, kind and name of each object.
      objects: `${references.join('\n')}\n`,
      // For exactness: every object as applied, gzip and base64 to stay below the size limit of a ConfigMap.
      manifest: gzipSync(JSON.stringify(inventory.objects)).toString('base64'),
    },
  };
  await client.apply(configMaps, object, { fieldManager, force: true });
}

/** Objects of the earlier installation that the new one no longer has. */
export function prunable(earlier: Inventory | undefined, objects: readonly KubeObject[]): KubeObject[] {
  const kept = new Set(objects.map(identity));
  // CRDs are never pruned: the user's configuration would go with them. The namespace goes only with uninstall.
  return (earlier?.objects ?? []).filter(
    (o) => o.kind !== 'CustomResourceDefinition' && o.kind !== 'Namespace' && !kept.has(identity(o)),
  );
}

/** Objects of both lists, each once; those of `objects` win. */
export function union(objects: readonly KubeObject[], earlier: readonly KubeObject[]): KubeObject[] {
  const kept = new Set(objects.map(identity));
  return [...objects, ...earlier.filter((o) => !kept.has(identity(o)))];
}

/** The objects that are not among `others`. */
export function without(objects: readonly KubeObject[], others: readonly KubeObject[]): KubeObject[] {
  const left = new Set(others.map(identity));
  return objects.filter((o) => !left.has(identity(o)));
}

/** What was recorded of an object: one entry, or none. */
export function recordedFor(objects: readonly KubeObject[], object: KubeObject): KubeObject[] {
  return objects.filter((o) => identity(o) === identity(object));
}

/** Whether two records list the same objects with the same content, in whatever order. */
export function isSame(a: readonly KubeObject[], b: readonly KubeObject[]): boolean {
  const hashes = [a, b].map((objects) => objects.map(contentHash).toSorted().join());
  return hashes[0] === hashes[1];
}

function identity(object: KubeObject): string {
  return `${object.apiVersion.split('/').at(-2) ?? ''} ${nameOf(object)}`;
}
