import { isDeepStrictEqual } from 'node:util';
import { ExactQuantity } from '../../../base/exact-quantity.js';
import type { DiscoveredResource } from '../../../base/discovery.js';
import { pods as podResource, resourceQuotas } from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import { addTo, amountsOf } from '../../../apiserver/admission/pods/amounts.js';
import { isInScope, scopesOf } from '../../../apiserver/admission/quota/scopes.js';
import { isCountedIn, usageOf } from '../../../apiserver/admission/quota/usage.js';
import type { JsonObject } from '../../../base/json.js';
import type { ApiObject as StoredObject } from '../../../apiserver/object.js';
import { keyOfObject } from '../../cache/object-cache.js';
import { isFinished } from '../pod-state.js';
import type { MetadataWatches } from '../../metadata/metadata-watches.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';

interface Quota extends KubeObject {
  spec?: JsonObject & { hard?: JsonObject };
  status?: { hard?: JsonObject; used?: JsonObject };
}

/**
 * Keeps status.hard and status.used of resource quotas true. Where admission itself counts
 * what is made (kube-apiserver), only what is deleted or ends is counted here: admission
 * counts before an object is stored, and a count in between would take that back.
 */
export function resourceQuotaController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: { readonly watches: MetadataWatches; readonly isCreationCountedByAdmission: boolean },
): Controller {
  const quotas = deps.caches.of<Quota>(resourceQuotas);
  const pods = deps.caches.of<Pod>(podResource);
  const addNamespace = (namespace: string | undefined): void => {
    if (namespace === undefined) return;
    for (const quota of quotas.inNamespace(namespace)) queue.add(keyOfObject(quota));
  };
  const { watches, isCreationCountedByAdmission } = o;
  quotas.onChange(({ object, isGone }) => {
    const isNew = !isDeepStrictEqual(object.spec?.hard ?? {}, object.status?.hard ?? {});
    if (!isGone && (isNew || !isCreationCountedByAdmission)) queue.add(keyOfObject(object));
  });
  watches.onChange(({ resource, metadata, isGone }) => {
    // A quota's own changes come from its cache.
    if (resource.plural === resourceQuotas.plural && !isGone) return;
    if (isGone || !isCreationCountedByAdmission) addNamespace(metadata.namespace);
  });
  // Pods that end no longer count, which their metadata does not tell.
  pods.onChange(({ object, old }) => {
    if (isFinished(object) && (old === undefined || !isFinished(old)))
      addNamespace(object.metadata.namespace);
  });

  return {
    name: 'resource-quota',
    keys: () => quotas.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const quota = quotas.get(namespace, name);
      if (quota === undefined || quota.metadata.deletionTimestamp !== undefined) return;
      const spec = quota.spec ?? {};
      const hard = amountsOf(spec.hard);
      const names = [...hard.keys()];
      const used = new Map<string, ExactQuantity>();
      const counted = watches.served.preferred.filter(
        (r) => r.isNamespaced && r.verbs.includes('list') && names.some((n) => isCountedIn(r, n)),
      );
      for (const resource of counted) {
        const own = names.filter((n) => isCountedIn(resource, n));
        for (const n of own) if (!used.has(n)) used.set(n, ExactQuantity.zero);
        const scopes = scopesOf(spec);
        for (const object of await list(deps, resource, namespace)) {
          if (!isInScope(scopes, resource, object)) continue;
          const usage = usageOf(resource, object);
          const part = new Map<string, ExactQuantity>();
          for (const n of own) {
            const amount = usage.get(n);
            if (amount !== undefined) part.set(n, amount);
          }
          addTo(used, part);
        }
      }
      const texts = (amounts: ReadonlyMap<string, ExactQuantity>): JsonObject =>
        Object.fromEntries([...amounts].map(([n, amount]) => [n, amount.toString()]));
      const status = { hard: texts(hard), used: texts(used) };
      if (isDeepStrictEqual(status, { hard: quota.status?.hard, used: quota.status?.used })) return;
      const ref = { resource: resourceQuotas, namespace, name, subresource: 'status' };
      quotas.remember(await deps.client.update<Quota>(ref, { ...quota, status }));
    },
  };
}

/** Kinds whose content counts, and not only their number. */
const measured: ReadonlySet<string> = new Set(['pods', 'services', 'persistentvolumeclaims']);

/** What there is at this moment: what the watches show may be older than what admission has counted. */
async function list(
  { client, signal }: ClusterControllerDeps,
  resource: DiscoveredResource,
  namespace: string,
): Promise<StoredObject[]> {
  const isMetadataOnly = resource.group !== '' || !measured.has(resource.plural);
  const objects = await client.list<KubeObject>(resource, { namespace, isMetadataOnly, signal });
  // The same objects, read more freely on the side that serves them.
  return objects as unknown as StoredObject[];
}
