import { setMaxListeners } from 'node:events';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import type { Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import { ObjectCache } from './object-cache.js';

/** Reflectors, queues and loops that end with one signal; Node warns beyond it, as for a leak. */
const signalListenersMax = 256;

/** One cache per kind, started when first asked for and shared by everything in the process. */
export class ClusterCaches {
  readonly client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #caches = new Map<string, { cache: unknown; synced: Promise<void> }>();
  readonly #log = createLogger('cluster');

  constructor(o: { readonly client: KubeClient; readonly signal: AbortSignal }) {
    this.client = o.client;
    this.#signal = sharedSignal(o.signal);
  }

  /** The cache of a kind. `T` is what the caller knows the resource to hold. */
  of<T extends KubeObject>(resource: Resource): ObjectCache<T> {
    const id = `${resource.group}/${resource.plural}`;
    const known = this.#caches.get(id);
    // Sound as long as each resource is always asked for with its own type.
    if (known !== undefined) return known.cache as ObjectCache<T>;
    const reflector = new Reflector<T>({
      client: this.client,
      resource,
      onError: (message) => this.#log.warn('watch interrupted', { message }),
    });
    const cache = new ObjectCache<T>(reflector);
    this.#caches.set(id, { cache, synced: cache.synced() });
    reflector.start(this.#signal);
    return cache;
  }

  /** Resolves when every cache asked for so far has its first list. */
  async synced(): Promise<void> {
    await Promise.all([...this.#caches.values()].map((entry) => entry.synced));
  }
}

/** A signal that aborts with `signal` and that many may listen to. */
export function sharedSignal(signal: AbortSignal): AbortSignal {
  const shared = AbortSignal.any([signal]);
  setMaxListeners(signalListenersMax, shared);
  return shared;
}
