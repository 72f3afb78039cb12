import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { PodDirectory } from './node-authorizer.js';

/** Keeps an index of pods by account and node on top of the pod watch. */
export function createPodDirectory(pods: Reflector<Pod>): PodDirectory {
  const byPlace = new Map<string, Set<string>>();
  const update = (pod: Pod | undefined, change: 'add' | 'remove') => {
    const place = pod === undefined ? undefined : placeOf(pod);
    if (pod === undefined || place === undefined) return;
    const name = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
    const there = byPlace.get(place) ?? new Set<string>();
    if (change === 'add') there.add(name);
    else there.delete(name);
    if (there.size > 0) byPlace.set(place, there);
    else byPlace.delete(place);
  };
  for (const pod of pods.list()) update(pod, 'add');
  pods.onChange(({ type, object, old }) => {
    update(old ?? (type === 'deleted' ? object : undefined), 'remove');
    if (type !== 'deleted') update(object, 'add');
  });
  return {
    pod: (namespace, name) => {
      const pod = pods.get(namespace, name);
      if (pod === undefined) return undefined;
      return {
        uid: pod.metadata.uid ?? '',
        serviceAccount: pod.spec.serviceAccountName ?? 'default',
        node: pod.spec.nodeName ?? '',
      };
    },
    runsOn: ({ namespace, serviceAccount, node }) => byPlace.has(`${namespace}/${serviceAccount}/${node}`),
  };
}

/** Where a pod's identity lives; undefined for one that is not scheduled or has failed. */
function placeOf(pod: Pod): string | undefined {
  const { nodeName, serviceAccountName } = pod.spec;
  if (nodeName === undefined || pod.status?.phase === 'Failed') return undefined;
  return `${pod.metadata.namespace ?? ''}/${serviceAccountName ?? 'default'}/${nodeName}`;
}
