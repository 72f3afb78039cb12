import type { Job } from '../../objects.js';
import { type NewPod, podFromTemplate } from '../pod-control.js';
import { completionIndexKey, indexFailureCountKey } from './job-indexes.js';
import { trackingFinalizer } from './job-tally.js';

/** A pod of the Job; `failures` is how often pods of its index have failed (jobs with backoffLimitPerIndex). */
export function jobPod(
  job: Job,
  o: { readonly index: number | undefined; readonly failures: number },
): NewPod {
  const pod = podFromTemplate(job.spec.template);
  const { index } = o;
  const { name, uid = '' } = job.metadata;
  const identity = {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'job-name': name,
  };
  const finalizers = [trackingFinalizer];
  if (index === undefined) {
    const labels = { ...pod.metadata.labels, ...identity };
    return { ...pod, metadata: { ...pod.metadata, generateName: `${name}-`, labels, finalizers } };
  }
  const indexKeys = { [completionIndexKey]: String(index) };
  const failureCount =
    job.spec.backoffLimitPerIndex === undefined ? {} : { [indexFailureCountKey]: String(o.failures) };
  const fromIndex = {
    name: 'JOB_COMPLETION_INDEX',
    valueFrom: { fieldRef: { fieldPath: `metadata.labels['${completionIndexKey}']` } },
  };
  const withIndex = <C extends { env?: object[] }>(container: C): C => ({
    ...container,
    env: [...(container.env ?? []), fromIndex],
  });
  return {
    metadata: {
      ...pod.metadata,
      generateName: `${name}-${index}-`,
      labels: { ...pod.metadata.labels, ...identity, ...indexKeys },
      annotations: { ...pod.metadata.annotations, ...indexKeys, ...failureCount },
      finalizers,
    },
    spec: {
      ...pod.spec,
      hostname: `${name}-${index}`,
      containers: pod.spec.containers.map(withIndex),
      ...(pod.spec.initContainers === undefined
        ? {}
        : { initContainers: pod.spec.initContainers.map(withIndex) }),
    },
  };
}
