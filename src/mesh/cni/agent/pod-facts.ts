import type { Pod } from '#base/kube/types.js';
import type { PodAddress } from '../netns-finder.js';
import type { ZdsWorkload } from '../zds/messages.js';

/** Queue key and display name of a pod. */
export function podKeyOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}

/** All addresses in the pod's status, without repetition. */
export function podIps(pod: Pod): readonly string[] {
  const all = [pod.status?.podIP, ...(pod.status?.podIPs ?? []).map((entry) => entry.ip)];
  return [...new Set(all.filter((ip): ip is string => ip !== undefined && ip !== ''))];
}

/** What tells the pod's network namespace from others. */
export function podAddress(pod: Pod): PodAddress {
  return { uid: pod.metadata.uid ?? '', ips: podIps(pod), startedMs: latestStart(pod) };
}

/** Latest start of one of the pod's containers, running or ended; undefined before the first. */
function latestStart({ status }: Pod): number | undefined {
  const starts = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .flatMap(({ state, lastState }) => [state, lastState])
    .flatMap((each) => [each?.running?.startedAt, each?.terminated?.startedAt])
    .map((time) => Date.parse(time ?? ''))
    .filter((time) => !Number.isNaN(time));
  return starts.length === 0 ? undefined : Math.max(...starts);
}

/** The pod as ztunnel is told about it. */
export function workloadOf(pod: Pod): ZdsWorkload {
  return {
    uid: pod.metadata.uid ?? '',
    name: pod.metadata.name,
    namespace: pod.metadata.namespace ?? '',
    serviceAccount: pod.spec?.serviceAccountName ?? 'default',
  };
}

/** A pod that has ended for good: its containers do not come back. */
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
