import type { Deployment, Pod, ReplicaSet } from '#base/kube/types.js';
import type { ObjectCache } from '../../cache/object-cache.js';
import type { ClusterControllerDeps } from '../controller.js';
import type { RolloutBounds, RolloutSets } from './deployment-rollout.js';

/** What the parts of the Deployment controller share. */
export interface DeploymentContext {
  readonly deps: ClusterControllerDeps;
  readonly sets: ObjectCache<ReplicaSet>;
  readonly deployments: ObjectCache<Deployment>;
  readonly pods: ObjectCache<Pod>;
}

/** One Deployment with its limits and replica sets. */
export interface Rollout {
  readonly deployment: Deployment;
  readonly bounds: RolloutBounds;
  readonly sets: RolloutSets;
}

/** Label that tells the pods of one template from those of another. */
export const hashLabel = 'pod-template-hash';
