import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { DiscoveredResource } from '../../../base/discovery.js';
import { pathOf, pods, type Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';

/** What is still in a namespace after everything in it was told to go. */
export interface RemainingContent {
  /** Objects left, by `plural.group`. */
  readonly counts: ReadonlyMap<string, number>;
  /** Objects held by a finalizer. */
  readonly finalizers: ReadonlyMap<string, number>;
  /** Kinds that could not be emptied, and why. */
  readonly failures: readonly string[];
}

/** Kinds looked at concurrently. */
const kindsAtOnce = 8;

/**
 * Deletes everything in a namespace and says what is left. Pods go first and
 * alone: what they use, and the policies that bind them, stays while they stop.
 */
export async function deleteContent(
  client: KubeClient,
  namespace: string,
  resources: readonly DiscoveredResource[],
): Promise<RemainingContent> {
  const content = new ContentDeletion(client, namespace);
  const isPods = (r: Resource): boolean => r.group === pods.group && r.plural === pods.plural;
  for (const resource of resources.filter(isPods)) await content.empty(resource);
  if (content.counts.size === 0) {
    const queue = resources.filter((r) => !isPods(r));
    const work = async (): Promise<void> => {
      for (let r = queue.shift(); r !== undefined; r = queue.shift()) await content.empty(r);
    };
    await Promise.all(Array.from({ length: kindsAtOnce }, work));
  }
  return content;
}

/** Kinds whose objects a namespace can hold and lose. */
export function isNamespaceContent(r: DiscoveredResource): boolean {
  return r.isNamespaced && r.verbs.includes('list') && r.verbs.includes('delete');
}

class ContentDeletion implements RemainingContent {
  readonly counts = new Map<string, number>();
  readonly finalizers = new Map<string, number>();
  readonly failures: string[] = [];
  readonly #client: KubeClient;
  readonly #namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  async empty(resource: DiscoveredResource): Promise<void> {
    try {
      const found = await this.#list(resource);
      if (found.length === 0) return;
      await this.#delete(
        resource,
        found.filter((o) => o.metadata.deletionTimestamp === undefined),
      );
      const left = await this.#list(resource);
      if (left.length > 0) this.counts.set(nameOf(resource), left.length);
      for (const f of left.flatMap((o) => o.metadata.finalizers ?? []))
        this.finalizers.set(f, (this.finalizers.get(f) ?? 0) + 1);
    } catch (error) {
      // A kind whose CRD was removed meanwhile has no objects.
      if (!isNotFound(error)) this.failures.push(`${nameOf(resource)}: ${messageOf(error)}`);
    }
  }

  #list(resource: Resource): Promise<KubeObject[]> {
    return this.#client.list(resource, { namespace: this.#namespace, isMetadataOnly: true });
  }

  async #delete(resource: DiscoveredResource, objects: readonly KubeObject[]): Promise<void> {
    if (objects.length === 0) return;
    const namespace = this.#namespace;
    if (resource.verbs.includes('deletecollection')) {
      await this.#client.request({
        method: 'DELETE',
        path: pathOf(resource, { namespace }),
        body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' },
      });
      return;
    }
    for (const { metadata } of objects)
      await this.#client.delete({ resource, namespace, name: metadata.name }, { propagation: 'Background' });
  }
}

/** `pods.` and `deployments.apps`, as namespace conditions name kinds. */
function nameOf(resource: Resource): string {
  return `${resource.plural}.${resource.group}`;
}
