import { groupVersionOf, type Resource } from '#base/kube/resource.js';
import type { ObjectMeta, OwnerReference } from '#base/kube/types.js';

/** Finalizers that ask the garbage collector to act before the object goes. */
export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

/** What the garbage collector knows of an object. */
export interface GraphNode {
  readonly uid: string;
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly resourceVersion: string;
  readonly owners: readonly OwnerReference[];
  readonly finalizers: readonly string[];
  readonly isBeingDeleted: boolean;
}

/** Only what the graph is made of: the rest would be most of the memory. */
export function ownershipOf(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
    ...(finalizers === undefined ? {} : { finalizers }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
}

export function graphNodeOf(resource: Resource, metadata: ObjectMeta): GraphNode {
  return {
    uid: metadata.uid ?? '',
    resource,
    namespace: metadata.namespace,
    name: metadata.name,
    resourceVersion: metadata.resourceVersion ?? '',
    owners: metadata.ownerReferences ?? [],
    finalizers: metadata.finalizers ?? [],
    isBeingDeleted: metadata.deletionTimestamp !== undefined,
  };
}

/** It stays until its blocking dependents are gone. */
export function isDeletingDependents(node: GraphNode): boolean {
  return node.isBeingDeleted && node.finalizers.includes(foregroundFinalizer);
}

/** It stays until its dependents have been released. */
export function isOrphaning(node: GraphNode): boolean {
  return node.isBeingDeleted && node.finalizers.includes(orphanFinalizer);
}

/** Whether a reference of `dependent` describes this object: a uid alone could point into another namespace. */
export function isNamedBy(owner: OwnerReference, node: GraphNode, dependent: GraphNode): boolean {
  return (
    owner.name === node.name &&
    owner.kind === node.resource.kind &&
    groupVersionOf(owner.apiVersion).group === node.resource.group &&
    (node.namespace === undefined || node.namespace === dependent.namespace)
  );
}

/** All objects by uid, and who depends on whom; an owner need not be known for its dependents to be found. */
export class OwnershipGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  get size(): number {
    return this.#nodes.size;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  all(): Iterable<GraphNode> {
    return this.#nodes.values();
  }

  /** Adds or replaces a node; returns what it replaced. */
  put(node: GraphNode): GraphNode | undefined {
    const previous = this.#nodes.get(node.uid);
    if (previous !== undefined) this.#unlink(previous);
    this.#nodes.set(node.uid, node);
    for (const owner of node.owners) {
      const dependents = this.#dependents.get(owner.uid);
      if (dependents === undefined) this.#dependents.set(owner.uid, new Set([node.uid]));
      else dependents.add(node.uid);
    }
    return previous;
  }

  /** Forgets a node; its dependents stay linked to its uid. */
  remove(uid: string): GraphNode | undefined {
    const node = this.#nodes.get(uid);
    if (node === undefined) return undefined;
    this.#unlink(node);
    this.#nodes.delete(uid);
    return node;
  }

  dependentsOf(uid: string): GraphNode[] {
    const found: GraphNode[] = [];
    for (const dependent of this.#dependents.get(uid) ?? []) {
      const node = this.#nodes.get(dependent);
      if (node !== undefined) found.push(node);
    }
    return found;
  }

  #unlink(node: GraphNode): void {
    for (const owner of node.owners) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(node.uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
  }
}
