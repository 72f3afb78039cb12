import { isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { DiscoveredResource } from '../../base/discovery.js';
import { type GraphNode, graphNodeOf } from './ownership-graph.js';

/** Kinds listed at the same time. */
const listsMax = 8;

/**
 * Finds the dependents of an owner by asking the API server rather than the graph: watches of
 * different kinds are not in step, so what was made just before its owner was deleted may not
 * be in the graph yet. Owners of one namespace that are asked about at the same time share the lists.
 */
export class LiveDependents {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #kinds: () => readonly DiscoveredResource[];
  /** By namespace; all of them under ''. The latest look at it: under way, or waiting for the one before. */
  readonly #latest = new Map<string, Promise<readonly GraphNode[]>>();
  readonly #waiting = new Map<string, Promise<readonly GraphNode[]>>();

  /** @param o.kinds those that answer now; objects of others cannot be asked for. */
  constructor(o: { client: KubeClient; signal: AbortSignal; kinds: () => readonly DiscoveredResource[] }) {
    this.#client = o.client;
    this.#signal = o.signal;
    this.#kinds = o.kinds;
  }

  /** Every object that names the owner and was made before this call. Throws when a kind cannot be listed. */
  async of(owner: GraphNode): Promise<GraphNode[]> {
    const found = await this.#look(owner.namespace ?? '');
    return found.filter((node) => node.owners.some((o) => o.uid === owner.uid));
  }

  /** A look that begins no earlier than now. */
  #look(namespace: string): Promise<readonly GraphNode[]> {
    const waiting = this.#waiting.get(namespace);
    if (waiting !== undefined) return waiting;
    const before = this.#latest.get(namespace);
    const look = async (): Promise<readonly GraphNode[]> => {
      await before?.catch(() => undefined); // told to those who asked for it
      this.#waiting.delete(namespace);
      try {
        return await this.#list(namespace);
      } finally {
        if (this.#latest.get(namespace) === next) this.#latest.delete(namespace);
      }
    };
    const next = look();
    if (before !== undefined) this.#waiting.set(namespace, next);
    this.#latest.set(namespace, next);
    return next;
  }

  async #list(namespace: string): Promise<readonly GraphNode[]> {
    // Objects in no namespace cannot be owned by one that is in a namespace.
    const kinds = this.#kinds().filter((r) => namespace === '' || r.isNamespaced);
    const found: GraphNode[] = [];
    let at = 0;
    const worker = async (): Promise<void> => {
      for (let resource = kinds[at++]; resource !== undefined; resource = kinds[at++])
        found.push(...(await this.#listKind(resource, namespace)));
    };
    await Promise.all(Array.from({ length: listsMax }, worker));
    return found;
  }

  async #listKind(resource: DiscoveredResource, namespace: string): Promise<GraphNode[]> {
    try {
      const objects = await this.#client.list(resource, {
        namespace: namespace === '' ? undefined : namespace,
        isMetadataOnly: true,
        signal: this.#signal,
      });
      return objects
        .filter(({ metadata }) => (metadata.ownerReferences?.length ?? 0) > 0)
        .map(({ metadata }) => graphNodeOf(resource, metadata));
    } catch (error) {
      const isUnlistable = error instanceof KubeApiError && error.status === 405;
      if (isUnlistable || isNotFound(error)) return []; // the kind went away
      throw error;
    }
  }
}
