import { deployments, pods as podResource, replicaSets } from '../../../../kube/resource.js';
import { labelSelectorMatches } from '../../../../kube/labels.js';
import { isAlreadyExists } from '../../../../kube/api-error.js';
import type { Deployment, Pod, ReplicaSet } from '../../../../kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from '../controller.js';
import {
  currentSize,
  resizeSteps,
  rollingSteps,
  type RolloutBounds,
  rolloutBounds,
  type RolloutSets,
  type Scale,
  sizeAnnotations,
  sizeOf,
} from './deployment-rollout.js';
import { deadlineInMs, deploymentStatus } from './deployment-status.js';
import { ownerReference } from '../pod-control.js';
import { isFinished } from '../pod-state.js';
import { writeStatus } from '../status-writer.js';
import { canonicalJson, hashOf } from '../template-hash.js';

const hashLabel = 'pod-template-hash';
const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyLimitDefault = 10;
/** Annotations of a Deployment that say nothing about its replica sets. */
const ownAnnotations = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  'deployment.kubernetes.io/revision-history',
]);

interface Context {
  readonly deps: ControllerDeps;
  readonly sets: ObjectCache<ReplicaSet>;
  readonly deployments: ObjectCache<Deployment>;
  readonly pods: ObjectCache<Pod>;
}

/** Rolls Deployments out by growing and shrinking replica sets, one per template. */
export function deploymentController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
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

async function reconcile(context: Context, seen: Deployment): Promise<NonNullable<Deployment['status']>> {
  let deployment = seen;
  let isNewRevision = false;
  const bounds = rolloutBounds(deployment);
  let sets = await claimSets(context, deployment);
  if (deployment.metadata.deletionTimestamp === undefined) {
    const resize = resizeSteps(bounds, sets);
    if (resize !== undefined) {
      await scaleAll(context, { deployment, bounds, steps: resize });
    } else if (deployment.spec.paused !== true) {
      if (deployment.spec.strategy?.type === 'Recreate')
        await recreate(context, { deployment, bounds, sets });
      else await roll(context, { deployment, bounds, sets });
    }
    sets = await claimSets(context, deployment);
    deployment = await recordRevision(context, deployment, sets);
    isNewRevision = deployment !== seen;
  }
  const status = deploymentStatus({ deployment, sets, bounds, isNewRevision, nowMs: Date.now() });
  await writeStatus(
    context.deps.client,
    { resource: deployments, cache: context.deployments },
    deployment,
    status,
  );
  const isDone = status.updatedReplicas === bounds.desired && status.replicas === bounds.desired;
  if (isDone && deployment.metadata.deletionTimestamp === undefined) await prune(context, deployment, sets);
  return status;
}

interface Rollout {
  readonly deployment: Deployment;
  readonly bounds: RolloutBounds;
  readonly sets: RolloutSets;
}

async function roll(context: Context, rollout: Rollout): Promise<void> {
  const { deployment, bounds, sets } = rollout;
  if (sets.current === undefined) {
    await createSet(context, { deployment, bounds, sets, replicas: currentSize(bounds, sets) });
    return;
  }
  await scaleAll(context, { deployment, bounds, steps: rollingSteps(bounds, sets) });
}

async function recreate(context: Context, rollout: Rollout): Promise<void> {
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

/** The Deployment's replica sets; adopts matching ones without a controller. */
async function claimSets(context: Context, deployment: Deployment): Promise<RolloutSets> {
  const owned: ReplicaSet[] = [];
  for (const set of context.sets.inNamespace(deployment.metadata.namespace ?? '')) {
    const owner = controllerOf(set);
    if (owner !== undefined) {
      if (owner.uid === deployment.metadata.uid) owned.push(set);
      continue;
    }
    const isAdoptable =
      set.metadata.deletionTimestamp === undefined &&
      deployment.metadata.deletionTimestamp === undefined &&
      labelSelectorMatches(deployment.spec.selector, set.metadata.labels);
    if (isAdoptable) owned.push(await adopt(context, deployment, set));
  }
  const hash = hashOf(deployment.spec.template);
  const template = canonicalJson(deployment.spec.template);
  const born = (set: ReplicaSet): string => set.metadata.creationTimestamp ?? '';
  owned.sort((a, b) => born(a).localeCompare(born(b)) || a.metadata.name.localeCompare(b.metadata.name));
  const current =
    owned.find((set) => set.metadata.labels?.[hashLabel] === hash) ??
    owned.find((set) => canonicalJson(withoutHash(set)) === template);
  return { current, old: owned.filter((set) => set !== current) };
}

/** The template a replica set was made from. */
function withoutHash(set: ReplicaSet): unknown {
  const { template } = set.spec;
  if (template === undefined) return undefined;
  const labels = { ...template.metadata?.labels };
  delete labels[hashLabel];
  return { ...template, metadata: { ...template.metadata, labels } };
}

async function adopt(context: Context, deployment: Deployment, set: ReplicaSet): Promise<ReplicaSet> {
  const { name, namespace, uid, resourceVersion } = set.metadata;
  const ownerReferences = [...(set.metadata.ownerReferences ?? []), ownerReference(deployment)];
  const patched = await context.deps.client.patch<ReplicaSet>(
    { resource: replicaSets, name, namespace },
    { metadata: { uid, resourceVersion, ownerReferences } },
  );
  context.sets.remember(patched);
  return patched;
}

async function createSet(context: Context, o: Rollout & { readonly replicas: number }): Promise<void> {
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
        ...sharedAnnotations(deployment),
        ...sizeAnnotations(bounds),
        [revisionAnnotation]: String(nextRevision(o.sets.old)),
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
    throw error;
  }
}

async function scaleAll(
  context: Context,
  o: { readonly deployment: Deployment; readonly bounds: RolloutBounds; readonly steps: readonly Scale[] },
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

/**
 * Numbers the current set after all older ones and writes the number on the
 * Deployment, for `kubectl rollout`. A new revision gives a new object.
 */
async function recordRevision(
  context: Context,
  deployment: Deployment,
  sets: RolloutSets,
): Promise<Deployment> {
  let current = sets.current;
  if (current === undefined) return deployment;
  const wanted = nextRevision(sets.old);
  if (revisionOf(current) < wanted) {
    const { name, namespace, resourceVersion } = current.metadata;
    current = await context.deps.client.patch<ReplicaSet>(
      { resource: replicaSets, name, namespace },
      {
        metadata: {
          resourceVersion,
          annotations: { ...sharedAnnotations(deployment), [revisionAnnotation]: String(wanted) },
        },
      },
    );
    context.sets.remember(current);
  }
  const revision = String(revisionOf(current));
  if (deployment.metadata.annotations?.[revisionAnnotation] === revision) return deployment;
  const { name, namespace } = deployment.metadata;
  const patched = await context.deps.client.patch<Deployment>(
    { resource: deployments, name, namespace },
    { metadata: { annotations: { [revisionAnnotation]: revision } } },
  );
  context.deployments.remember(patched);
  return patched;
}

/** Deletes empty replica sets beyond the history limit, oldest first. */
async function prune(context: Context, deployment: Deployment, sets: RolloutSets): Promise<void> {
  const limit = deployment.spec.revisionHistoryLimit ?? historyLimitDefault;
  const empty = sets.old.filter(
    (set) =>
      sizeOf(set) === 0 && (set.status?.replicas ?? 0) === 0 && set.metadata.deletionTimestamp === undefined,
  );
  const surplus = empty
    .toSorted((a, b) => revisionOf(a) - revisionOf(b))
    .slice(0, Math.max(0, empty.length - limit));
  for (const set of surplus) {
    const { name, namespace } = set.metadata;
    await context.deps.client.delete({ resource: replicaSets, name, namespace });
    context.sets.rememberDeletion(set);
  }
}

function nextRevision(old: readonly ReplicaSet[]): number {
  return Math.max(0, ...old.map(revisionOf)) + 1;
}

function revisionOf(set: ReplicaSet): number {
  const revision = Number(set.metadata.annotations?.[revisionAnnotation] ?? 0);
  return Number.isFinite(revision) ? revision : 0;
}

function sharedAnnotations(deployment: Deployment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key)),
  );
}

function noteScaling(
  context: Context,
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
