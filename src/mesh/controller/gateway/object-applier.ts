import { createHash } from 'node:crypto';
import type { KubeClient } from '#base/kube/client.js';
import * as labels from '#base/kube/labels.js';
import type { KubeObject } from '#base/kube/types.js';
import type { RenderedObject } from './waypoint-objects.js';

/** Objects remembered as applied; a cluster has three per waypoint. */
const memoryMax = 30_000;

/** What became of one object. */
export type ApplyOutcome = 'applied' | 'unchanged' | 'foreign';

/**
 * Applies rendered objects, each only when it would change something: when the rendering differs
 * from the last one applied, or the live object from what the API server answered to it.
 */
export class ObjectApplier {
  readonly #client: KubeClient;
  readonly #applied = new Map<string, { readonly rendered: string; readonly live: string }>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /**
   * Applies one object under the field manager. An object that exists without the managed label is
   * the user's own and is left alone.
   */
  async apply(
    { resource, object }: RenderedObject,
    o: { readonly fieldManager: string; readonly live: KubeObject | undefined; readonly signal: AbortSignal },
  ): Promise<ApplyOutcome> {
    const { namespace, name } = object.metadata;
    const key = `${resource.plural}/${namespace ?? ''}/${name}`;
    const rendered = fingerprint(object);
    const known = this.#applied.get(key);
    if (o.live !== undefined && known?.rendered === rendered && known.live === fingerprint(o.live)) {
      return 'unchanged';
    }
    const current = await this.#client.getOrUndefined<KubeObject>({ resource, name, namespace });
    if (current !== undefined && current.metadata.labels?.[labels.gatewayManaged] === undefined)
      return 'foreign';
    const answer = await this.#client.apply<KubeObject>(resource, object, {
      fieldManager: o.fieldManager,
      force: true,
      signal: o.signal,
    });
    this.#remember(key, { rendered, live: fingerprint(answer) });
    return 'applied';
  }

  #remember(key: string, value: { readonly rendered: string; readonly live: string }): void {
    this.#applied.delete(key);
    this.#applied.set(key, value);
    for (const oldest of this.#applied.keys()) {
      if (this.#applied.size <= memoryMax) break;
      this.#applied.delete(oldest);
    }
  }
}

/** What people and controllers may have changed of an object; status and bookkeeping left out. */
function fingerprint(object: KubeObject): string {
  const { labels: objectLabels, annotations, ownerReferences } = object.metadata;
  const spec: unknown = Reflect.get(object, 'spec');
  return createHash('sha256')
    .update(JSON.stringify([objectLabels, annotations, ownerReferences, spec], sortedKeys))
    .digest('base64');
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
