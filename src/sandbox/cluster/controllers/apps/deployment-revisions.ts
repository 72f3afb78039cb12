import { deployments, replicaSets } from '#base/kube/resource.js';
import type { Deployment, ReplicaSet } from '#base/kube/types.js';
import type { DeploymentContext } from './deployment-context.js';
import { type RolloutSets, sizeOf } from './deployment-rollout.js';

const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyAnnotation = 'deployment.kubernetes.io/revision-history';
const historyMaxChars = 2000;
const historyLimitDefault = 10;
/** Annotations of a Deployment that say nothing about its replica sets. */
const ownAnnotations = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  historyAnnotation,
]);

/**
 * Numbers the current set after all older ones and writes the number on the
 * Deployment, for `kubectl rollout`. A new revision gives a new object.
 */
export async function recordRevision(
  context: DeploymentContext,
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
          annotations: { ...newRevisionAnnotations(deployment, sets.old), ...formerRevisions(current) },
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
export async function pruneReplicaSets(
  context: DeploymentContext,
  deployment: Deployment,
  sets: RolloutSets,
): Promise<void> {
  const limit = deployment.spec.revisionHistoryLimit ?? historyLimitDefault;
  const empty = sets.old.filter(
    (set) =>
      sizeOf(set) === 0 && (set.status?.replicas ?? 0) === 0 && set.metadata.deletionTimestamp === undefined,
  );
  const surplus = empty
    .toSorted((a, b) => compare(revisionOf(a), revisionOf(b)))
    .slice(0, Math.max(0, empty.length - limit));
  for (const set of surplus) {
    const { name, namespace } = set.metadata;
    await context.deps.client.delete({ resource: replicaSets, name, namespace });
    context.sets.rememberDeletion(set);
  }
}

/** Annotations of the replica set that becomes the newest. */
export function newRevisionAnnotations(
  deployment: Deployment,
  old: readonly ReplicaSet[],
): Record<string, string> {
  return { ...sharedAnnotations(deployment), [revisionAnnotation]: String(nextRevision(old)) };
}

function nextRevision(old: readonly ReplicaSet[]): bigint {
  let newest = 0n;
  for (const revision of old.map(revisionOf)) if (revision > newest) newest = revision;
  return newest + 1n;
}

/** Revisions are 64-bit numbers; a number of JavaScript would lose the last digits of large ones. */
function revisionOf(set: ReplicaSet): bigint {
  const text = set.metadata.annotations?.[revisionAnnotation] ?? '';
  return /^\d{1,18}$|^[1-8]\d{18}$/.test(text) ? BigInt(text) : 0n;
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The numbers a set had before it became the newest again, the last ones of them. */
function formerRevisions(set: ReplicaSet): Record<string, string> {
  const former = set.metadata.annotations?.[revisionAnnotation];
  if (former === undefined) return {};
  const history = [...(set.metadata.annotations?.[historyAnnotation] ?? '').split(','), former].filter(
    (each) => each !== '',
  );
  while (history.join(',').length > historyMaxChars) history.shift();
  return { [historyAnnotation]: history.join(',') };
}

/** Annotations a replica set takes over from its Deployment. */
function sharedAnnotations(deployment: Deployment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key)),
  );
}
