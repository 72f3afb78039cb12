import { isNotFound } from '#base/kube/api-error.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import { pods as podResource } from '#base/kube/resource.js';
import type { KubeObject, LabelSelector, OwnerReference, Pod, PodTemplateSpec } from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ObjectCache } from '../cache/object-cache.js';
import { controllerOf } from '../cache/object-cache.js';
import { type ClusterControllerDeps, isTerminatingNamespace } from './controller.js';

/** Requests to the API server in flight for one owner. */
const parallelMax = 8;

/** A pod as a controller writes it; the API server fills in the rest. */
export interface NewPod {
  readonly metadata: {
    name?: string;
    generateName?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
  };
  readonly spec: Pod['spec'];
}

/** Creates, deletes and claims pods for the owners of one kind, with the events kubectl users look for. */
export class PodControl {
  readonly #deps: ClusterControllerDeps;
  readonly pods: ObjectCache<Pod>;

  constructor(deps: ClusterControllerDeps) {
    this.#deps = deps;
    this.pods = deps.caches.of<Pod>(podResource);
  }

  /**
   * Creates pods in batches that double, so that a template the API server
   * refuses costs one request and not all of them. Throws the first refusal.
   */
  async createMany(owner: KubeObject, pods: readonly NewPod[]): Promise<void> {
    let at = 0;
    for (let batch = 1; at < pods.length; batch = Math.min(batch * 2, parallelMax)) {
      const slice = pods.slice(at, at + batch);
      at += slice.length;
      const results = await Promise.allSettled(slice.map((pod) => this.create(owner, pod)));
      const failed = results.find((r) => r.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  /** Creates one pod owned by `owner`. */
  async create(owner: KubeObject, pod: NewPod): Promise<Pod> {
    const namespace = owner.metadata.namespace ?? '';
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...pod.metadata, namespace, ownerReferences: [ownerReference(owner)] },
      spec: pod.spec,
    };
    try {
      const created = await this.#deps.client.create<Pod>(podResource, body, { namespace });
      this.pods.remember(created);
      this.#note(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
      return created;
    } catch (error) {
      if (!isTerminatingNamespace(error)) {
        this.#note(owner, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`);
      }
      throw error;
    }
  }

  /** Deletes pods, several at a time; those already gone are fine. */
  async deleteMany(owner: KubeObject, pods: readonly Pod[]): Promise<void> {
    for (let at = 0; at < pods.length; at += parallelMax) {
      const slice = pods.slice(at, at + parallelMax);
      const results = await Promise.allSettled(slice.map((pod) => this.delete(owner, pod)));
      const failed = results.find((r) => r.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  /** Deletes this very pod (not a later one of the same name), gracefully. */
  async delete(owner: KubeObject, pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const ref = { resource: podResource, name, namespace };
    const isDeleted = await this.#deps.client.delete(
      ref,
      uid === undefined ? {} : { preconditions: { uid } },
    );
    this.pods.rememberDeletion(pod);
    if (isDeleted) this.#note(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  }

  /**
   * The pods an owner manages: adopts matching pods without a controller,
   * releases owned pods that no longer match. An owner being deleted adopts nothing.
   */
  async claim(owner: KubeObject, selector: LabelSelector): Promise<Pod[]> {
    const claimed: Pod[] = [];
    for (const pod of this.pods.inNamespace(owner.metadata.namespace ?? '')) {
      const controller = controllerOf(pod);
      const isMatch = labelSelectorMatches(selector, pod.metadata.labels);
      if (controller !== undefined) {
        if (controller.uid !== owner.metadata.uid) continue;
        if (isMatch) claimed.push(pod);
        else if (pod.metadata.deletionTimestamp === undefined) await this.#release(owner, pod);
        continue;
      }
      const isAdoptable =
        isMatch &&
        pod.metadata.deletionTimestamp === undefined &&
        owner.metadata.deletionTimestamp === undefined;
      if (!isAdoptable) continue;
      const adopted = await this.#adopt(owner, pod);
      if (adopted !== undefined) claimed.push(adopted);
    }
    return claimed;
  }

  async #adopt(owner: KubeObject, pod: Pod): Promise<Pod | undefined> {
    const ownerReferences = [...(pod.metadata.ownerReferences ?? []), ownerReference(owner)];
    return this.#patchOwners(pod, ownerReferences);
  }

  async #release(owner: KubeObject, pod: Pod): Promise<void> {
    const rest = (pod.metadata.ownerReferences ?? []).filter((each) => each.uid !== owner.metadata.uid);
    await this.#patchOwners(pod, rest);
  }

  async #patchOwners(pod: Pod, ownerReferences: OwnerReference[]): Promise<Pod | undefined> {
    const { name, namespace, uid, resourceVersion } = pod.metadata;
    try {
      const patched = await this.#deps.client.patch<Pod>(
        { resource: podResource, name, namespace },
        { metadata: { uid, resourceVersion, ownerReferences } },
      );
      this.pods.remember(patched);
      return patched;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #note(owner: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.events.record({ about: owner, type, reason, message });
  }
}

/** The reference by which `owner` controls an object. */
export function ownerReference(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The pod a template describes, without a name. */
export function podFromTemplate(template: PodTemplateSpec): NewPod {
  return {
    metadata: {
      labels: { ...template.metadata?.labels },
      annotations: { ...template.metadata?.annotations },
    },
    spec: structuredClone(template.spec),
  };
}
