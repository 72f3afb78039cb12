import { nodes as nodeResource, pods as podResource } from '#base/kube/resource.js';
import type { Node, Pod } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { isFinished } from '../pod-state.js';

/** Ended pods kept for their logs; beyond it the oldest go. */
const finishedMax = 500;
/** A node must be unknown this long before its pods are given up: caches start at different times. */
const orphanAfterMs = 10_000;

/** Removes pods nobody will ever finish: on nodes that are gone, never scheduled but deleted, or ended long ago. */
export function podGarbageController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const pods = deps.caches.of<Pod>(podResource);
  const nodes = deps.caches.of<Node>(nodeResource);
  const orphanSince = new Map<string, number>();
  pods.onChange(({ object, isGone }) => {
    if (isGone) orphanSince.delete(keyOfObject(object));
    else queue.add(keyOfObject(object));
  });
  nodes.onChange(({ object, isGone }) => {
    if (!isGone) return;
    for (const pod of pods.list())
      if (pod.spec.nodeName === object.metadata.name) queue.add(keyOfObject(pod));
  });
  const force = async (pod: Pod): Promise<void> => {
    const { name, namespace, uid } = pod.metadata;
    await deps.client.delete(
      { resource: podResource, name, namespace },
      { gracePeriodSeconds: 0, ...(uid === undefined ? {} : { preconditions: { uid } }) },
    );
  };
  return {
    name: 'pod-garbage',
    keys: () => pods.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const pod = pods.get(namespace, name);
      if (pod === undefined) return;
      const node = pod.spec.nodeName ?? '';
      if (node === '') {
        if (pod.metadata.deletionTimestamp !== undefined) await force(pod);
        return;
      }
      if (nodes.get(undefined, node) === undefined) {
        const since = orphanSince.get(key) ?? Date.now();
        orphanSince.set(key, since);
        const left = since + orphanAfterMs - Date.now();
        if (left > 0) queue.addAfter(key, left);
        else await force(pod);
        return;
      }
      orphanSince.delete(key);
      if (!isFinished(pod) || pod.metadata.deletionTimestamp !== undefined) return;
      const finished = pods.list().filter(isFinished);
      if (finished.length <= finishedMax) return;
      const oldest = finished
        .toSorted((a, b) =>
          (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? ''),
        )
        .slice(0, finished.length - finishedMax);
      if (oldest.includes(pod)) await force(pod);
    },
  };
}
