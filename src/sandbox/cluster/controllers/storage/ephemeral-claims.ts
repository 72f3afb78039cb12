import { isAlreadyExists } from '#base/kube/api-error.js';
import { ephemeralClaimName, foreignClaimProblem } from '../../../base/ephemeral-claim.js';
import { pods as podResource, persistentVolumeClaims } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { ownerReference } from '../pod-control.js';
import { isFinished } from '../pod-state.js';
import type { PersistentVolumeClaim } from './storage-objects.js';

/** Makes the claims of generic ephemeral volumes, owned by their pod (kubernetes.io documentation, "Ephemeral Volumes"). */
export function ephemeralClaimController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const pods = deps.caches.of<Pod>(podResource);
  const claims = deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims);
  const needsClaims = (pod: Pod): boolean =>
    !isFinished(pod) &&
    pod.metadata.deletionTimestamp === undefined &&
    (pod.spec.volumes ?? []).some((volume) => volume.ephemeral !== undefined);
  pods.onChange(({ object, isGone }) => {
    if (!isGone && needsClaims(object)) queue.add(keyOfObject(object));
  });
  return {
    name: 'ephemeral-claims',
    keys: () => pods.list().filter(needsClaims).map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name: podName } = splitKey(key);
      const pod = pods.get(namespace, podName);
      if (pod === undefined || !needsClaims(pod)) return;
      for (const volume of pod.spec.volumes ?? []) {
        const template = volume.ephemeral?.volumeClaimTemplate;
        const name = ephemeralClaimName(podName, volume.name);
        if (template === undefined) continue;
        const existing = claims.get(namespace, name);
        if (existing !== undefined) {
          const problem = foreignClaimProblem(pod, existing);
          if (problem === undefined) continue;
          const message = `ephemeral volume ${volume.name}: ${problem}`;
          deps.events.record({ about: pod, type: 'Warning', reason: 'FailedBinding', message });
          // Tried again, with growing pauses, until whoever made the claim takes it away.
          throw new Error(message);
        }
        const { labels, annotations } = template.metadata ?? {};
        const body = {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name, namespace, labels, annotations, ownerReferences: [ownerReference(pod)] },
          spec: template.spec,
        };
        try {
          const created = await deps.client.create<PersistentVolumeClaim>(persistentVolumeClaims, body, {
            namespace,
          });
          claims.remember(created);
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
        }
      }
    },
  };
}
