import { autoscalingV1, autoscalingV1Strategy } from '../../kinds/autoscaling/autoscaling-v1.js';
import type { Rows } from './row.js';

/** apps, batch, autoscaling, policy and scheduling. */
export const workloadRows: Rows = {
  'apps/v1': [
    { kind: 'ControllerRevision', plural: 'controllerrevisions' },
    {
      kind: 'DaemonSet',
      plural: 'daemonsets',
      short: 'ds',
      status: true,
      generation: true,
      categories: ['all'],
    },
    {
      kind: 'Deployment',
      plural: 'deployments',
      short: 'deploy',
      status: true,
      generation: true,
      scale: true,
      categories: ['all'],
    },
    {
      kind: 'ReplicaSet',
      plural: 'replicasets',
      short: 'rs',
      status: true,
      generation: true,
      scale: true,
      categories: ['all'],
      fields: 'status.replicas',
    },
    {
      kind: 'StatefulSet',
      plural: 'statefulsets',
      short: 'sts',
      name: 'label',
      status: true,
      generation: true,
      scale: true,
      categories: ['all'],
    },
  ],
  'autoscaling/v2': [
    {
      kind: 'HorizontalPodAutoscaler',
      plural: 'horizontalpodautoscalers',
      short: 'hpa',
      status: true,
      categories: ['all'],
    },
  ],
  'autoscaling/v1': [
    {
      kind: 'HorizontalPodAutoscaler',
      plural: 'horizontalpodautoscalers',
      short: 'hpa',
      status: true,
      categories: ['all'],
      convert: autoscalingV1,
      storageVersion: 'autoscaling/v2',
      strategy: autoscalingV1Strategy,
    },
  ],
  'batch/v1': [
    { kind: 'CronJob', plural: 'cronjobs', short: 'cj', status: true, generation: true, categories: ['all'] },
    {
      kind: 'Job',
      plural: 'jobs',
      status: true,
      generation: true,
      categories: ['all'],
      fields: 'status.successful',
      orphans: {
        warning:
          'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
      },
    },
  ],
  'policy/v1': [
    {
      kind: 'PodDisruptionBudget',
      plural: 'poddisruptionbudgets',
      short: 'pdb',
      status: true,
      generation: true,
      pinned: true,
    },
  ],
  'scheduling.k8s.io/v1': [
    { kind: 'PriorityClass', plural: 'priorityclasses', short: 'pc', cluster: true, generation: true },
  ],
};
