import { isNotFound } from '#base/kube/api-error.js';
import { pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import type { ObjectCache } from '../cache/object-cache.js';
import { withCondition } from '../controllers/conditions.js';
import type { ClusterControllerDeps } from '../controllers/controller.js';

/** Asks the pods that have to make room to leave, with their grace period, and says why on each of them. */
export async function evictVictims(
  deps: ClusterControllerDeps,
  pods: ObjectCache<Pod>,
  o: { readonly by: Pod; readonly node: string; readonly victims: readonly Pod[] },
): Promise<void> {
  await Promise.all(
    o.victims
      .filter((victim) => victim.metadata.deletionTimestamp === undefined)
      .map((victim) => evict(deps, pods, { ...o, victim })),
  );
}

async function evict(
  { client, events }: ClusterControllerDeps,
  pods: ObjectCache<Pod>,
  o: { readonly by: Pod; readonly node: string; readonly victim: Pod },
): Promise<void> {
  const { name, namespace, uid } = o.victim.metadata;
  const ref = { resource: podResource, name, namespace };
  const conditions = withCondition(
    o.victim.status?.conditions,
    {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: 'default-scheduler: preempting to accommodate a higher priority pod',
    },
    { nowMs: Date.now() },
  );
  try {
    await client.patch({ ...ref, subresource: 'status' }, { metadata: { uid }, status: { conditions } });
    await client.delete(ref, uid === undefined ? {} : { preconditions: { uid } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  pods.rememberDeletion(o.victim);
  events.record({
    about: o.victim,
    type: 'Normal',
    reason: 'Preempted',
    message: `Preempted by pod ${o.by.metadata.uid ?? ''} on node ${o.node}`,
  });
}
