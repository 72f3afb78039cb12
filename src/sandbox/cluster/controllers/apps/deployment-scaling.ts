import { messageOf } from '#base/errors/mesh-error.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import { replicaSets } from '#base/kube/resource.js';
import type { Deployment, ReplicaSet } from '#base/kube/types.js';
import { controllerOf } from '../../cache/object-cache.js';
import { ownerReference } from '../pod-control.js';
import { hashOf } from '../template-hash.js';
import { type DeploymentContext, hashLabel, type Rollout } from './deployment-context.js';
import { newRevisionAnnotations } from './deployment-revisions.js';
import { type RolloutBounds, type ScaleStep, sizeAnnotations, sizeOf } from './deployment-rollout.js';

/** As events and conditions name it. */
export const setCreateError = 'ReplicaSetCreateError';

/** The replica set of a template was refused; the cause is what the API server said. */
export class SetCreateError extends Error {
  override readonly name = 'SetCreateError';
}

/** Makes the replica set of the current template. Throws SetCreateError. */
export async function createSet(
  context: DeploymentContext,
  o: Rollout & { readonly replicas: number },
): Promise<void> {
  const { deployment, bounds } = o;
  const { template } = deployment.spec;
  const namespace = deployment.metadata.namespace ?? '';
  const hash = hashOf(template);
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  const selector = deployment.spec.selector;
  const body = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace,
      labels,
      annotations: {
        ...newRevisionAnnotations(deployment, o.sets.old),
        ...sizeAnnotations(bounds),
      },
      ownerReferences: [ownerReference(deployment)],
    },
    spec: {
      replicas: o.replicas,
      ...(deployment.spec.minReadySeconds === undefined
        ? {}
        : { minReadySeconds: deployment.spec.minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
  try {
    const created = await context.deps.client.create<ReplicaSet>(replicaSets, body, { namespace });
    context.sets.remember(created);
    noteScaling(context, deployment, { set: created, from: 0, to: o.replicas });
  } catch (error) {
    // The cache is behind: the set is ours, or its name is taken by somebody else's for good.
    if (isAlreadyExists(error)) {
      const existing = await context.deps.client.get<ReplicaSet>({
        resource: replicaSets,
        name: body.metadata.name,
        namespace,
      });
      if (controllerOf(existing)?.uid === deployment.metadata.uid) {
        context.sets.remember(existing);
        return;
      }
    }
    const message = `Failed to create new replica set "${body.metadata.name}": ${messageOf(error)}`;
    context.deps.events.record({ about: deployment, type: 'Warning', reason: setCreateError, message });
    throw new SetCreateError(message, { cause: error });
  }
}

/** Gives replica sets their sizes, and records for which size of the Deployment. */
export async function scaleAll(
  context: DeploymentContext,
  o: {
    readonly deployment: Deployment;
    readonly bounds: RolloutBounds;
    readonly steps: readonly ScaleStep[];
  },
): Promise<void> {
  for (const { set, replicas } of o.steps) {
    const { name, namespace } = set.metadata;
    const scaled = await context.deps.client.update<ReplicaSet>(
      { resource: replicaSets, name, namespace },
      {
        ...set,
        metadata: {
          ...set.metadata,
          annotations: { ...set.metadata.annotations, ...sizeAnnotations(o.bounds) },
        },
        spec: { ...set.spec, replicas },
      },
    );
    context.sets.remember(scaled);
    if (replicas !== sizeOf(set)) {
      noteScaling(context, o.deployment, { set, from: sizeOf(set), to: replicas });
    }
  }
}

function noteScaling(
  context: DeploymentContext,
  deployment: Deployment,
  o: { readonly set: ReplicaSet; readonly from: number; readonly to: number },
): void {
  if (o.from === o.to) return;
  context.deps.events.record({
    about: deployment,
    type: 'Normal',
    reason: 'ScalingReplicaSet',
    message: `Scaled ${o.to > o.from ? 'up' : 'down'} replica set ${o.set.metadata.name} from ${o.from} to ${o.to}`,
  });
}
