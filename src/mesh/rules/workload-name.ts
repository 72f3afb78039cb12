import type { ObjectMeta } from '#base/kube/types.js';

/** `<cronjob>-<scheduled minute>`, as the CronJob controller names its Jobs. */
const cronJobRun = /^(.+)-\d{8,10}$/;

/**
 * The name under which people know a pod's workload, derived from the pod alone: its label, else
 * its controller with the ReplicaSet or CronJob suffix removed, else the pod's own name.
 */
export function workloadNameOf(pod: ObjectMeta): string {
  const labeled = pod.labels?.['service.istio.io/workload-name'];
  if (labeled !== undefined) return labeled;
  const owner = pod.ownerReferences?.find((reference) => reference.controller === true);
  if (pod.generateName === undefined || owner === undefined) return pod.name;
  if (owner.kind === 'ReplicaSet') {
    const hash = pod.labels?.['pod-template-hash'] ?? pod.labels?.['rollouts-pod-template-hash'];
    return hash !== undefined && owner.name.endsWith(`-${hash}`)
      ? owner.name.slice(0, -hash.length - 1)
      : owner.name;
  }
  if (owner.kind === 'ReplicationController') return pod.labels?.['deploymentconfig'] ?? owner.name;
  if (owner.kind === 'Job') return cronJobRun.exec(owner.name)?.[1] ?? owner.name;
  return owner.name;
}

/** Value of the canonical service name: an explicit label, the common app labels, or the workload's name. */
export function canonicalNameOf(labels: Readonly<Record<string, string>>, workloadName: string): string {
  return (
    labels['service.istio.io/canonical-name'] ??
    labels['app.kubernetes.io/name'] ??
    labels['app'] ??
    workloadName
  );
}

/** Value of the canonical revision; `latest` when no label names one. */
export function canonicalRevisionOf(labels: Readonly<Record<string, string>>): string {
  return (
    labels['service.istio.io/canonical-revision'] ??
    labels['app.kubernetes.io/version'] ??
    labels['version'] ??
    'latest'
  );
}
