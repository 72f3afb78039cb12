import {
  deployments,
  groupVersionOf,
  replicaSets,
  type Resource,
  statefulSets,
} from '#base/kube/resource.js';
import type { KubeObject, OwnerReference, Pod } from '#base/kube/types.js';
import { controllerOf } from '../../cache/object-cache.js';
import { type PodDisruptionBudget, replicationControllers } from '../../objects.js';
import type { ClusterControllerDeps } from '../controller.js';
import { resolveIntOrPercent } from '../int-or-percent.js';
import { findScale } from '../scale-subresource.js';

/** What a budget asks of its pods. */
export interface BudgetDemand {
  /** Pods there should be: as many as their controllers are to run, or as there are. */
  readonly expectedPods: number;
  readonly desiredHealthy: number;
  /** Names of pods that nothing controls, where only controllers tell how many there should be. */
  readonly unmanaged: readonly string[];
}

type Scalable = KubeObject & { spec?: { replicas?: number } };

/** Works out what budgets demand. Shares and `maxUnavailable` are of what the controllers of the pods are to run. */
export class BudgetDemands {
  readonly #deps: ClusterControllerDeps;

  constructor(deps: ClusterControllerDeps) {
    this.#deps = deps;
    for (const resource of [deployments, replicaSets, statefulSets, replicationControllers])
      deps.caches.of<Scalable>(resource);
  }

  /** Throws when a pod has a controller whose scale nobody knows. */
  async of(budget: PodDisruptionBudget, pods: readonly Pod[]): Promise<BudgetDemand> {
    const { maxUnavailable, minAvailable = 1 } = budget.spec;
    if (maxUnavailable === undefined && typeof minAvailable === 'number')
      return { expectedPods: pods.length, desiredHealthy: minAvailable, unmanaged: [] };
    const scales = new Map<string, number>();
    const unmanaged: string[] = [];
    for (const pod of pods) {
      const owner = controllerOf(pod);
      if (owner === undefined) {
        unmanaged.push(pod.metadata.name);
        continue;
      }
      if (scales.has(owner.uid)) continue;
      const found = await this.#scaleBehind(owner, pod.metadata.namespace ?? '');
      if (found === undefined) throw new Error(`found no controllers for pod "${pod.metadata.name}"`);
      scales.set(found.uid, found.replicas);
    }
    const expectedPods = [...scales.values()].reduce((sum, replicas) => sum + replicas, 0);
    const desiredHealthy =
      maxUnavailable === undefined
        ? resolveIntOrPercent(minAvailable, expectedPods, 'up')
        : Math.max(0, expectedPods - resolveIntOrPercent(maxUnavailable, expectedPods, 'up'));
    return { expectedPods, desiredHealthy, unmanaged };
  }

  /** The scale of a pod's controller, or of the Deployment behind it. */
  async #scaleBehind(
    owner: OwnerReference,
    namespace: string,
  ): Promise<{ uid: string; replicas: number } | undefined> {
    const { group } = groupVersionOf(owner.apiVersion);
    const is = (resource: Resource): boolean => resource.kind === owner.kind && resource.group === group;
    if (is(replicaSets)) {
      const set = this.#named(replicaSets, owner, namespace);
      const deployment = set === undefined ? undefined : controllerOf(set);
      if (deployment?.kind !== deployments.kind) return scaleIn(set);
      return scaleIn(this.#named(deployments, deployment, namespace));
    }
    for (const resource of [statefulSets, replicationControllers])
      if (is(resource)) return scaleIn(this.#named(resource, owner, namespace));
    const { apiVersion, kind, name } = owner;
    const scale = await findScale(this.#deps.client, { apiVersion, kind, name, namespace });
    return scale?.uid === owner.uid ? scale : undefined;
  }

  #named(resource: Resource, owner: OwnerReference, namespace: string): Scalable | undefined {
    const object = this.#deps.caches.of<Scalable>(resource).get(namespace, owner.name);
    return object?.metadata.uid === owner.uid ? object : undefined;
  }
}

function scaleIn(object: Scalable | undefined): { uid: string; replicas: number } | undefined {
  return object === undefined
    ? undefined
    : { uid: object.metadata.uid ?? '', replicas: object.spec?.replicas ?? 1 };
}
