import { messageOf } from '../errors/mesh-error.js';
import { deferred, pause } from '../system/until.js';
import { isNotFound, KubeApiError } from './api-error.js';
import { type KubeClient, metadataAccept } from './client.js';
import { pathOf, type Resource } from './resource.js';
import type { KubeObject } from './types.js';

export interface ReflectorChange<T extends KubeObject> {
  readonly type: 'added' | 'modified' | 'deleted';
  /** `namespace/name`, or the name of an object without namespace. */
  readonly key: string;
  /** As it is kept. */
  readonly object: T;
  /** As it came: all of it. */
  readonly received: T;
  /** What the cache held before, for modified and deleted. */
  readonly old?: T | undefined;
}

export interface ReflectorOptions<T extends KubeObject = KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Only `metadata` of each object is fetched. */
  readonly isMetadataOnly?: boolean | undefined;
  /** What is kept of each object; default: all of it. */
  readonly keep?: ((object: T) => T) | undefined;
  /** Told of every failed list or watch; the reflector goes on by itself. */
  readonly onError?: ((message: string) => void) | undefined;
}

/** The server ends a watch after this; spread so that watches do not all reconnect at once. */
const watchSecondsMin = 240;
const watchSecondsSpread = 120;
const backoffMinMs = 100;
const backoffMaxMs = 10_000;
/** A kind that does not exist (yet) is asked for this often: its CRD may be installed later. */
const absentKindPollMs = 2_000;

/**
 * A local copy of one kind: list, then watch, for ever. States: listing -> synced
 * (watching) -> listing again when the server has forgotten our position (410) or the
 * watch fails. Objects are shared and must not be changed by readers.
 */
export class Reflector<T extends KubeObject> {
  readonly #o: ReflectorOptions<T>;
  readonly #items = new Map<string, T>();
  readonly #listeners = new Set<(change: ReflectorChange<T>) => void>();
  readonly #synced = deferred();
  #isSynced = false;

  constructor(options: ReflectorOptions<T>) {
    this.#o = options;
  }

  /** Starts listing and watching; ends with the signal. */
  start(signal: AbortSignal): void {
    void this.#run(signal);
  }

  /** Resolves after the first complete list. A kind that does not exist counts as empty. */
  synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  list(): readonly T[] {
    return [...this.#items.values()];
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#items.get(keyOf({ namespace, name }));
  }

  /** Calls `listener` for every change from now on; returns the function that stops it. */
  onChange(listener: (change: ReflectorChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let backoffMs = backoffMinMs;
    while (!signal.aborted) {
      try {
        const resourceVersion = await this.#list(signal);
        this.#markSynced();
        backoffMs = backoffMinMs;
        await this.#watch(resourceVersion, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isNotFound(error)) {
          this.#removeAllBut(new Set());
          this.#markSynced();
          await pause(absentKindPollMs, signal);
          continue;
        }
        if (!isGone(error)) this.#o.onError?.(`${this.#o.resource.plural}: ${messageOf(error)}`);
        await pause(backoffMs * (0.5 + Math.random()), signal);
        backoffMs = Math.min(backoffMs * 2, backoffMaxMs);
      }
    }
  }

  /** Takes every object there is, and lets go those that are not; returns the version it is a list of. */
  async #list(signal: AbortSignal): Promise<string> {
    const { namespace, labelSelector, fieldSelector, isMetadataOnly } = this.#o;
    const options = { namespace, labelSelector, fieldSelector, isMetadataOnly, signal };
    const listed = new Set<string>();
    let version = '';
    for await (const page of this.#o.client.pages<T>(this.#o.resource, options)) {
      version = page.resourceVersion;
      for (const object of page.items) {
        const key = keyOf(object.metadata);
        listed.add(key);
        const isCurrent = this.#items.get(key)?.metadata.resourceVersion === object.metadata.resourceVersion;
        if (!isCurrent) this.#take('MODIFIED', object);
      }
    }
    this.#removeAllBut(listed);
    return version;
  }

  /** Watches from `resourceVersion`, reconnecting where it left off, until an error asks for a new list. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    let position = resourceVersion;
    while (!signal.aborted) {
      const timeoutSeconds = watchSecondsMin + Math.floor(Math.random() * watchSecondsSpread);
      const lines = this.#o.client.stream({
        path: pathOf(this.#o.resource, { namespace: this.#o.namespace }),
        query: {
          watch: 1,
          allowWatchBookmarks: true,
          resourceVersion: position,
          timeoutSeconds,
          labelSelector: this.#o.labelSelector,
          fieldSelector: this.#o.fieldSelector,
        },
        signal,
        idleTimeoutMs: (timeoutSeconds + 15) * 1000,
        accept: this.#o.isMetadataOnly === true ? metadataAccept.object : undefined,
      });
      const startedAt = Date.now();
      for await (const line of lines) {
        if (line === '') continue;
        const event = JSON.parse(line) as { type: string; object: T };
        if (event.type === 'ERROR') {
          const status = event.object as unknown as { code?: number; message?: string };
          throw new KubeApiError('MESH0207', status.code ?? 500, {
            message: status.message ?? 'watch failed',
          });
        }
        position = event.object.metadata.resourceVersion ?? position;
        this.#take(event.type, event.object);
      }
      // A server that ends watches at once must not be asked in a tight loop.
      if (Date.now() - startedAt < 1_000) await pause(1_000, signal);
    }
  }

  #take(type: string, received: T): void {
    const object = this.#o.keep?.(received) ?? received;
    const key = keyOf(object.metadata);
    const old = this.#items.get(key);
    if (type === 'DELETED') {
      this.#items.delete(key);
      this.#emit({ type: 'deleted', key, object, received, old });
    } else if (type === 'ADDED' || type === 'MODIFIED') {
      this.#items.set(key, object);
      this.#emit({ type: old === undefined ? 'added' : 'modified', key, object, received, old });
    }
  }

  #removeAllBut(keys: ReadonlySet<string>): void {
    for (const [key, old] of this.#items) if (!keys.has(key)) this.#take('DELETED', old);
  }

  #markSynced(): void {
    this.#isSynced = true;
    this.#synced.resolve();
  }

  #emit(change: ReflectorChange<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function keyOf({
  namespace,
  name,
}: {
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  // Joined, not put together: the parts of a text that is put together stay with it, and these are many.
  return namespace === undefined || namespace === '' ? name : [namespace, name].join('/');
}

function isGone(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 410;
}
