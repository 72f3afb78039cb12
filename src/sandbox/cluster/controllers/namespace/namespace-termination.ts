import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '#base/errors/mesh-error.js';
import { isNotFound } from '#base/kube/api-error.js';
import { discoverResources, type ServedResources } from '../../../base/discovery.js';
import { namespaces } from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';
import { terminationConditions } from './namespace-conditions.js';
import { deleteContent, isNamespaceContent } from './namespace-content.js';

interface Namespace extends KubeObject {
  spec?: { finalizers?: string[] };
  status?: { phase?: string; conditions?: Condition[] };
}

/** Held by this controller while a namespace has content. */
const finalizer = 'kubernetes';
/** How often a namespace that does not become empty is looked at: soon at first, then less and less. */
const recheckDelays = { firstMs: 50, maxMs: 2_000 } as const;

/** Empties namespaces that are being deleted, then lets them go. */
export function namespaceTerminationController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
): Controller {
  const { client } = deps;
  const cache = deps.caches.of<Namespace>(namespaces);
  const rechecks = new Map<string, number>();
  cache.onChange(({ object, isGone }) => {
    if (isGone) rechecks.delete(object.metadata.name);
    else if (isEnding(object)) queue.add(object.metadata.name);
  });

  const writeConditions = async (namespace: Namespace, conditions: Condition[]): Promise<Namespace> => {
    const status = { ...namespace.status, phase: 'Terminating', conditions };
    if (isDeepStrictEqual(status, namespace.status)) return namespace;
    const ref = { resource: namespaces, name: namespace.metadata.name, subresource: 'status' };
    return client.update<Namespace>(ref, { ...namespace, status });
  };

  return {
    name: 'namespace',
    keys: () =>
      cache
        .list()
        .filter(isEnding)
        .map((n) => n.metadata.name),
    reconcile: async (name) => {
      const namespace = await client.getOrUndefined<Namespace>({ resource: namespaces, name });
      if (namespace === undefined || !isEnding(namespace)) return;
      const { served, failure } = await discover(deps);
      const resources = served.preferred.filter(isNamespaceContent);
      const remaining = await deleteContent(client, name, resources);
      const conditions = terminationConditions(namespace.status?.conditions ?? [], {
        remaining,
        discoveryFailure: failure,
        now: new Date(),
      });
      if (failure === undefined && remaining.counts.size === 0 && remaining.failures.length === 0) {
        await finalize(deps, namespace);
        return;
      }
      await writeConditions(namespace, conditions);
      const delayMs = rechecks.get(name) ?? recheckDelays.firstMs;
      rechecks.set(name, Math.min(delayMs * 2, recheckDelays.maxMs));
      queue.addAfter(name, delayMs);
    },
  };
}

function isEnding(namespace: Namespace): boolean {
  return (
    namespace.metadata.deletionTimestamp !== undefined &&
    namespace.spec?.finalizers?.includes(finalizer) === true
  );
}

/** What is served now; kinds of an aggregated server that does not answer may still have objects. */
async function discover(
  deps: ClusterControllerDeps,
): Promise<{ served: ServedResources; failure: string | undefined }> {
  try {
    const served = await discoverResources(deps.client, deps.signal);
    const failure =
      served.unknown.length === 0
        ? undefined
        : `Discovery failed for some groups, ${served.unknown.length} failing: ${served.unknown.join(', ')}: stale GroupVersion discovery`;
    return { served, failure };
  } catch (error) {
    return { served: { all: [], preferred: [], unknown: [] }, failure: messageOf(error) };
  }
}

async function finalize({ client }: ClusterControllerDeps, namespace: Namespace): Promise<void> {
  const finalizers = (namespace.spec?.finalizers ?? []).filter((f) => f !== finalizer);
  const ref = { resource: namespaces, name: namespace.metadata.name, subresource: 'finalize' };
  try {
    await client.update<Namespace>(ref, { ...namespace, spec: { ...namespace.spec, finalizers } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
