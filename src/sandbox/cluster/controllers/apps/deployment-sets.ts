import { labelSelectorMatches } from '#base/kube/labels.js';
import { replicaSets } from '#base/kube/resource.js';
import type { Deployment, ReplicaSet } from '#base/kube/types.js';
import { controllerOf } from '../../cache/object-cache.js';
import { ownerReference } from '../pod-control.js';
import { canonicalJson, hashOf } from '../template-hash.js';
import { type DeploymentContext, hashLabel } from './deployment-context.js';
import type { RolloutSets } from './deployment-rollout.js';

/** The Deployment's replica sets; adopts matching ones without a controller. */
export async function claimSets(context: DeploymentContext, deployment: Deployment): Promise<RolloutSets> {
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

async function adopt(
  context: DeploymentContext,
  deployment: Deployment,
  set: ReplicaSet,
): Promise<ReplicaSet> {
  const { name, namespace, uid, resourceVersion } = set.metadata;
  const ownerReferences = [...(set.metadata.ownerReferences ?? []), ownerReference(deployment)];
  const patched = await context.deps.client.patch<ReplicaSet>(
    { resource: replicaSets, name, namespace },
    { metadata: { uid, resourceVersion, ownerReferences } },
  );
  context.sets.remember(patched);
  return patched;
}
