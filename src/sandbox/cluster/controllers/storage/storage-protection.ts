import { isNotFound } from '#base/kube/api-error.js';
import { foreignClaimProblem } from '../../../base/ephemeral-claim.js';
import {
  pods as podResource,
  type Resource,
  persistentVolumeClaims,
  persistentVolumes,
} from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { claimsOf } from './pod-claims.js';
import { type PersistentVolume, type PersistentVolumeClaim, volumeKeys } from './storage-objects.js';

/** Lets a claim that is being deleted go once no pod uses it (finalizer kubernetes.io/pvc-protection). */
export function claimProtectionController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const claims = deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims);
  const pods = deps.caches.of<Pod>(podResource);
  claims.onChange(({ object, isGone }) => {
    if (!isGone && isLeaving(object, volumeKeys.claimProtection)) queue.add(keyOfObject(object));
  });
  pods.onChange(({ object, isGone }) => {
    if (!isGone && !isShutDown(object)) return;
    for (const { name } of claimsOf(object)) queue.add(`${object.metadata.namespace ?? ''}/${name}`);
  });
  return {
    name: 'claim-protection',
    keys: () => claims.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const claim = claims.get(namespace, name);
      if (claim === undefined || !isLeaving(claim, volumeKeys.claimProtection)) return;
      const isUsed = pods.inNamespace(namespace).some((pod) => usesClaim(pod, claim));
      if (!isUsed) await release(deps, persistentVolumeClaims, claim, volumeKeys.claimProtection);
    },
  };
}

/**
 * Only pods with a node count: the scheduler gives none to a pod whose claim is being deleted. So do
 * pods that are finished, until they are deleted; a claim made for a pod waits for its containers' end.
 */
function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if ((pod.spec.nodeName ?? '') === '') return false;
  return claimsOf(pod).some(
    ({ name, isEphemeral }) =>
      name === claim.metadata.name &&
      (!isEphemeral || (!isShutDown(pod) && foreignClaimProblem(pod, claim) === undefined)),
  );
}

/** Its kubelet is done with the pod, or it was deleted by force. */
function isShutDown({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0;
}

/** Lets a volume that is being deleted go once it is not bound (finalizer kubernetes.io/pv-protection). */
export function volumeProtectionController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const volumes = deps.caches.of<PersistentVolume>(persistentVolumes);
  volumes.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  return {
    name: 'volume-protection',
    keys: () => volumes.list().map((volume) => volume.metadata.name),
    reconcile: async (name) => {
      const volume = volumes.get(undefined, name);
      if (volume === undefined || !isLeaving(volume, volumeKeys.volumeProtection)) return;
      if (volume.status?.phase !== 'Bound')
        await release(deps, persistentVolumes, volume, volumeKeys.volumeProtection);
    },
  };
}

function isLeaving(object: KubeObject, finalizer: string): boolean {
  return (
    object.metadata.deletionTimestamp !== undefined &&
    object.metadata.finalizers?.includes(finalizer) === true
  );
}

async function release(
  deps: ClusterControllerDeps,
  resource: Resource,
  object: KubeObject,
  finalizer: string,
): Promise<void> {
  const { name, namespace, uid, resourceVersion, finalizers = [] } = object.metadata;
  const rest = finalizers.filter((each) => each !== finalizer);
  try {
    await deps.client.patch(
      { resource, name, namespace },
      { metadata: { uid, resourceVersion, finalizers: rest } },
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
