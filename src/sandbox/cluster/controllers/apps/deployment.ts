import { deployments, pods as podResource, replicaSets } from '#base/kube/resource.js';
import type { Deployment, Pod, ReplicaSet } from '#base/kube/types.js';
import { controllerOf, keyOfObject } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { isFinished } from '../pod-state.js';
import { reportAfter } from '../report-after.js';
import { writeStatus } from '../status-writer.js';
import type { DeploymentContext, Rollout } from './deployment-context.js';
import { pruneReplicaSets, recordRevision } from './deployment-revisions.js';
import { currentSize, resizeSteps, rollingSteps, rolloutBounds, sizeOf } from './deployment-rollout.js';
import { createSet, scaleAll } from './deployment-scaling.js';
import { claimSets } from './deployment-sets.js';
import { deadlineInMs, deploymentStatus } from './deployment-status.js';

/** Rolls Deployments out by growing and shrinking replica sets, one per template. */
export function deploymentController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: DeploymentContext = {
    deps,
    sets: deps.caches.of<ReplicaSet>(replicaSets),
    deployments: deps.caches.of<Deployment>(deployments),
    pods: deps.caches.of<Pod>(podResource),
  };
  context.deployments.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.sets.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'Deployment') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  // A Recreate rollout waits for the last old pod to be gone.
  context.pods.onChange(({ object, isGone }) => {
    const owner = isGone ? controllerOf(object) : undefined;
    const set =
      owner?.kind === 'ReplicaSet' ? context.sets.get(object.metadata.namespace, owner.name) : undefined;
    const deployment = set === undefined ? undefined : controllerOf(set);
    if (deployment !== undefined) queue.add(`${object.metadata.namespace ?? ''}/${deployment.name}`);
  });
  return {
    name: 'deployment',
    keys: () => context.deployments.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const deployment = context.deployments.get(namespace, name);
      if (deployment === undefined) return;
      const status = await reconcile(context, deployment);
      const wait = deadlineInMs(deployment, status, Date.now());
      if (wait !== undefined) queue.addAfter(key, wait + 1000);
    },
  };
}

async function reconcile(
  context: DeploymentContext,
  seen: Deployment,
): Promise<NonNullable<Deployment['status']>> {
  let deployment = seen;
  const bounds = rolloutBounds(deployment);
  let sets = await claimSets(context, deployment);
  const isGoing = deployment.metadata.deletionTimestamp !== undefined;
  const status = await reportAfter(
    async () => {
      if (isGoing) return;
      await advance(context, { deployment, bounds, sets });
      sets = await claimSets(context, deployment);
      deployment = await recordRevision(context, deployment, sets);
    },
    async (failure) => {
      const isNewRevision = deployment !== seen;
      const nowMs = Date.now();
      const next = deploymentStatus({ deployment, sets, bounds, isNewRevision, failure, nowMs });
      const at = { resource: deployments, cache: context.deployments };
      await writeStatus(context.deps.client, at, deployment, next);
      return next;
    },
  );
  const isDone = status.updatedReplicas === bounds.desired && status.replicas === bounds.desired;
  if (isDone && !isGoing) await pruneReplicaSets(context, deployment, sets);
  return status;
}

async function advance(context: DeploymentContext, rollout: Rollout): Promise<void> {
  const { deployment, bounds, sets } = rollout;
  const resize = resizeSteps(bounds, sets, { isPaused: deployment.spec.paused === true });
  if (resize !== undefined) await scaleAll(context, { deployment, bounds, steps: resize });
  else if (deployment.spec.strategy?.type === 'Recreate') await recreate(context, rollout);
  else await roll(context, rollout);
}

async function roll(context: DeploymentContext, rollout: Rollout): Promise<void> {
  const { deployment, bounds, sets } = rollout;
  if (sets.current === undefined) {
    await createSet(context, { deployment, bounds, sets, replicas: currentSize(bounds, sets) });
    return;
  }
  await scaleAll(context, { deployment, bounds, steps: rollingSteps(bounds, sets) });
}

async function recreate(context: DeploymentContext, rollout: Rollout): Promise<void> {
  const { deployment, bounds, sets } = rollout;
  const steps = sets.old.filter((set) => sizeOf(set) > 0).map((set) => ({ set, replicas: 0 }));
  if (steps.length > 0) {
    await scaleAll(context, { deployment, bounds, steps });
    return;
  }
  const isOldRunning = sets.old.some((set) =>
    context.pods.ownedBy(set.metadata.uid).some((pod) => !isFinished(pod)),
  );
  if (isOldRunning) return;
  if (sets.current === undefined) await createSet(context, { ...rollout, replicas: bounds.desired });
  else if (sizeOf(sets.current) !== bounds.desired) {
    await scaleAll(context, { deployment, bounds, steps: [{ set: sets.current, replicas: bounds.desired }] });
  }
}
