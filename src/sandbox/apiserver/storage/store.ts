import type { KubeObject } from '../object.js';

export type StoreEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One committed change; `object` carries the revision of the change, also for deletions. */
export interface StoreEvent {
  readonly type: StoreEventType;
  readonly revision: number;
  readonly resource: string;
  readonly object: KubeObject;
  readonly previous: KubeObject | undefined;
}

export type StoreListener = (event: StoreEvent) => void;

interface Bucket {
  readonly objects: Map<string, KubeObject>;
  sorted: readonly KubeObject[] | undefined;
  /** The most recent events, oldest first. */
  history: StoreEvent[];
  /** Everything after this revision is still in `history`. */
  historyStart: number;
  readonly listeners: Set<StoreListener>;
}

export interface StoreOptions {
  /** How many events per resource can be replayed to a watcher. */
  readonly historyMax?: number;
}

/** Raised when an object changed between read and write. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict';
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

/**
 * The objects of the cluster, one revision counter over all of them, and a
 * bounded window of past changes per resource for watchers to resume from.
 * Objects are immutable once stored. All operations are synchronous, so a
 * read followed by a write in one turn cannot be interleaved.
 */
export class Store {
  readonly #buckets = new Map<string, Bucket>();
  readonly #everything = new Set<StoreListener>();
  readonly #historyMax: number;
  #revision = 1;
  /** Watches from before this revision cannot be served: their history is gone (restart). */
  #floor = 1;

  constructor(options: StoreOptions = {}) {
    this.#historyMax = options.historyMax ?? 4096;
  }

  /** The revision of the latest change. */
  get revision(): number {
    return this.#revision;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#buckets.get(resource)?.objects.get(keyOf(namespace, name));
  }

  /** Objects of one resource in key order; all namespaces when none is given. */
  list(resource: string, namespace?: string): readonly KubeObject[] {
    const bucket = this.#buckets.get(resource);
    if (bucket === undefined) return [];
    bucket.sorted ??= [...bucket.objects.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
    if (namespace === undefined) return bucket.sorted;
    return bucket.sorted.filter((o) => o.metadata.namespace === namespace);
  }

  /** Names of resources that hold objects. */
  resources(): string[] {
    return [...this.#buckets].filter(([, b]) => b.objects.size > 0).map(([name]) => name);
  }

  /** Stores a new object; the caller checked that the name is free. */
  create(resource: string, object: KubeObject): KubeObject {
    const bucket = this.#bucket(resource);
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    if (bucket.objects.has(key)) throw new StoreConflict(`${resource} ${key} exists`);
    return this.#commit(bucket, resource, key, 'ADDED', object, undefined);
  }

  /** Replaces an object; `expected` is the very object that the change was computed from. */
  update(resource: string, object: KubeObject, expected: KubeObject): KubeObject {
    const bucket = this.#bucket(resource);
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    if (bucket.objects.get(key) !== expected) throw new StoreConflict(`${resource} ${key} changed`);
    return this.#commit(bucket, resource, key, 'MODIFIED', object, expected);
  }

  /** Removes an object; `last` is its final state as watchers shall see it. */
  delete(resource: string, last: KubeObject, expected: KubeObject): KubeObject {
    const bucket = this.#bucket(resource);
    const key = keyOf(last.metadata.namespace, last.metadata.name);
    if (bucket.objects.get(key) !== expected) throw new StoreConflict(`${resource} ${key} changed`);
    return this.#commit(bucket, resource, key, 'DELETED', last, expected);
  }

  /** Drops every object of a resource (its definition went away); watchers see deletions. */
  clear(resource: string): void {
    for (const object of this.list(resource)) this.delete(resource, object, object);
  }

  /** Changes after a revision, or undefined when the window no longer reaches back that far. */
  since(resource: string, revision: number): readonly StoreEvent[] | undefined {
    const bucket = this.#bucket(resource);
    if (revision < bucket.historyStart) return undefined;
    let low = 0;
    let high = bucket.history.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((bucket.history[mid]?.revision ?? 0) > revision) high = mid;
      else low = mid + 1;
    }
    return bucket.history.slice(low);
  }

  /** Calls back, synchronously, on every later change of a resource. */
  subscribe(resource: string, listener: StoreListener): () => void {
    const { listeners } = this.#bucket(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Calls back, synchronously, on every later change of anything. */
  subscribeAll(listener: StoreListener): () => void {
    this.#everything.add(listener);
    return () => this.#everything.delete(listener);
  }

  /** Everything, for persistence. */
  snapshot(): { revision: number; objects: Record<string, readonly KubeObject[]> } {
    return {
      revision: this.#revision,
      objects: Object.fromEntries(this.resources().map((r) => [r, this.list(r)])),
    };
  }

  /** Loads a snapshot into an empty store. Older watches get 410. */
  restore(snapshot: { revision: number; objects: Record<string, readonly KubeObject[]> }): void {
    this.#revision = Math.max(this.#revision, snapshot.revision);
    this.#floor = this.#revision;
    for (const [resource, objects] of Object.entries(snapshot.objects)) {
      const bucket = this.#bucket(resource);
      for (const o of objects) bucket.objects.set(keyOf(o.metadata.namespace, o.metadata.name), o);
      bucket.historyStart = this.#floor;
    }
  }

  #bucket(resource: string): Bucket {
    let bucket = this.#buckets.get(resource);
    if (bucket === undefined) {
      bucket = {
        objects: new Map(),
        sorted: undefined,
        history: [],
        historyStart: this.#floor,
        listeners: new Set(),
      };
      this.#buckets.set(resource, bucket);
    }
    return bucket;
  }

  #commit(
    bucket: Bucket,
    resource: string,
    key: string,
    type: StoreEventType,
    object: KubeObject,
    previous: KubeObject | undefined,
  ): KubeObject {
    this.#revision++;
    const stored: KubeObject = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#revision) },
    };
    if (type === 'DELETED') bucket.objects.delete(key);
    else bucket.objects.set(key, stored);
    bucket.sorted = undefined;
    const event: StoreEvent = { type, revision: this.#revision, resource, object: stored, previous };
    bucket.history.push(event);
    if (bucket.history.length > this.#historyMax * 1.25) {
      // Trimmed in batches: shifting one by one would copy the array on every change.
      const cut = bucket.history.length - this.#historyMax;
      bucket.historyStart = bucket.history[cut - 1]?.revision ?? bucket.historyStart;
      bucket.history = bucket.history.slice(cut);
    }
    for (const listener of bucket.listeners) listener(event);
    for (const listener of this.#everything) listener(event);
    return stored;
  }
}
