import type { KubeClient } from '#base/kube/client.js';
import { isObjectAbsent, resourceOfKind, type ServedResources } from '../../base/discovery.js';
import type { ObjectRef } from '#base/kube/resource.js';
import type { KubeObject, OwnerReference } from '#base/kube/types.js';
import {
  type GraphNode,
  isDeletingDependents,
  isNamedBy,
  graphNodeOf,
  type OwnershipGraph,
} from './ownership-graph.js';

/**
 * What an owner means for its dependent. `solid`: it is there. `waiting`: it is
 * there until its dependents are gone. `absent`: it surely is not there.
 * `unknown`: nobody can say, so nothing may be deleted because of it.
 */
export type OwnerState = 'solid' | 'waiting' | 'absent' | 'unknown';

/** Owners known to be gone; uids are never used again, so an entry stays true. */
const absentMax = 10_000;

/** Finds out whether owners exist: in the graph where they are known, otherwise by asking the API server. */
export class OwnerLookup {
  readonly #client: KubeClient;
  readonly #graph: OwnershipGraph;
  readonly #served: () => ServedResources;
  readonly #absent = new Set<string>();

  constructor(o: { client: KubeClient; graph: OwnershipGraph; served: () => ServedResources }) {
    this.#client = o.client;
    this.#graph = o.graph;
    this.#served = o.served;
  }

  async stateOf(owner: OwnerReference, dependent: GraphNode): Promise<OwnerState> {
    const known = this.#graph.get(owner.uid);
    if (known !== undefined && isNamedBy(owner, known, dependent)) return stateOfNode(known);
    const id = [owner.apiVersion, owner.kind, dependent.namespace, owner.name, owner.uid].join('\n');
    if (this.#absent.has(id)) return 'absent';
    const resource = resourceOfKind(this.#served(), owner);
    if (resource === undefined) return 'unknown';
    // A namespaced owner of a cluster-scoped object cannot be looked up: its namespace is not in the reference.
    if (resource.isNamespaced && dependent.namespace === undefined) return 'unknown';
    const found = await this.#find({ resource, namespace: dependent.namespace, name: owner.name });
    if (found?.metadata.uid !== owner.uid) {
      if (this.#absent.size >= absentMax) this.#absent.clear();
      this.#absent.add(id);
      return 'absent';
    }
    return stateOfNode(graphNodeOf(resource, found.metadata));
  }

  async #find(ref: ObjectRef): Promise<KubeObject | undefined> {
    try {
      return await this.#client.get(ref, { isMetadataOnly: true });
    } catch (error) {
      if (isObjectAbsent(error, ref.name)) return undefined;
      throw error;
    }
  }
}

function stateOfNode(node: GraphNode): OwnerState {
  return isDeletingDependents(node) ? 'waiting' : 'solid';
}
