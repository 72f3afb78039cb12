import { isNotFound } from '#base/kube/api-error.js';
import { jobs as jobResource, pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import type { Job } from '../../objects.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { isTracked, trackingFinalizer } from './job-tally.js';

/** Takes the finalizer off pods; those already gone are fine. */
export async function untrack(
  deps: ClusterControllerDeps,
  cache: ObjectCache<Pod>,
  pods: readonly Pod[],
): Promise<void> {
  await Promise.all(
    pods.filter(isTracked).map(async (pod) => {
      const { name, namespace, uid, resourceVersion, finalizers = [] } = pod.metadata;
      try {
        const patched = await deps.client.patch<Pod>(
          { resource: podResource, name, namespace },
          {
            metadata: {
              uid,
              resourceVersion,
              finalizers: finalizers.filter((each) => each !== trackingFinalizer),
            },
          },
        );
        cache.remember(patched);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }),
  );
}

/** Frees tracked pods whose Job is gone: nobody will count them any more. */
export function jobOrphanController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const pods = deps.caches.of<Pod>(podResource);
  const jobs = deps.caches.of<Job>(jobResource);
  pods.onChange(({ object, isGone }) => {
    if (!isGone && isTracked(object)) queue.add(keyOfObject(object));
  });
  jobs.onChange(({ object, isGone }) => {
    if (!isGone) return;
    for (const pod of pods.ownedBy(object.metadata.uid)) queue.add(keyOfObject(pod));
  });
  return {
    name: 'job-orphans',
    keys: () => pods.list().filter(isTracked).map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const pod = pods.get(namespace, name);
      if (pod === undefined || !isTracked(pod)) return;
      const owner = controllerOf(pod);
      if (owner?.kind === 'Job') {
        const ref = { resource: jobResource, name: owner.name, namespace };
        // A pod can be seen before its Job: the cache is not asked.
        const isKnown = jobs.get(namespace, owner.name)?.metadata.uid === owner.uid;
        const job = isKnown ? undefined : await deps.client.getOrUndefined<Job>(ref);
        if (isKnown || job?.metadata.uid === owner.uid) return;
      }
      await untrack(deps, pods, [pod]);
    },
  };
}
