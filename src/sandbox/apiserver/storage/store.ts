import type { ApiObject } from '../object.js';
import { History, type HistoryLimits } from './history.js';
import type { StoreEvent, StoreEventType } from './store-event.js';

export type StoreListener = (event: StoreEvent) => void;

interface Bucket {
  readonly objects: Map<string, ApiObject>;
  sorted: readonly ApiObject[] | undefined;
  readonly history: History;
  readonly listeners: Set<StoreListener>;
}

export interface StoreOptions {
  /** How many events per resource can be replayed to a watcher. */
  readonly historyMax?: number;
  /** About how many bytes of them. */
  readonly historyMaxBytes?: number;
  /** How many times as much is kept of what is fresh. */
  readonly historyBurst?: number;
}

const historyDefaults: HistoryLimits = { events: 4096, bytes: 32 * 1024 * 1024, burst: 8 };

/** Raised when a change cannot be kept; it was not made. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

/** Raised when an object changed between read and write. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict';
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

function sortedObjects(objects: ReadonlyMap<string, ApiObject>): ApiObject[] {
  return [...objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

/**
 * The objects of the cluster, one revision counter over all of them, and a
 * bounded window of past changes per resource for watchers to resume from.
 * Objects are immutable once stored. All operations are synchronous, so a
 * read followed by a write in one turn cannot be interleaved.
 */
export class Store {
  readonly #buckets = new Map<string, Bucket>();
  readonly #limits: HistoryLimits;
  #revision = 1;
  #keep: StoreListener | undefined;
  /** Watches from before this revision cannot be served: their history is gone (restart). */
  #floor = 1;
  /** The revision at the last compaction, and the one before which states are forgotten. */
  #compacted = { latest: 0, oldest: 0 };

  constructor(options: StoreOptions = {}) {
    this.#limits = {
      events: options.historyMax ?? historyDefaults.events,
      bytes: options.historyMaxBytes ?? historyDefaults.bytes,
      burst: options.historyBurst ?? historyDefaults.burst,
    };
  }

  /** The revision of the latest change. */
  get revision(): number {
    return this.#revision;
  }

  get(resource: string, namespace: string | undefined, name: string): ApiObject | undefined {
    return this.#buckets.get(resource)?.objects.get(keyOf(namespace, name));
  }

  /** Objects of one resource in key order; all namespaces when none is given. */
  list(resource: string, namespace?: string): readonly ApiObject[] {
    const bucket = this.#buckets.get(resource);
    if (bucket === undefined) return [];
    bucket.sorted ??= sortedObjects(bucket.objects);
    if (namespace === undefined) return bucket.sorted;
    return bucket.sorted.filter((o) => o.metadata.namespace === namespace);
  }

  /** Names of resources that hold objects. */
  resources(): string[] {
    return [...this.#buckets].filter(([, b]) => b.objects.size > 0).map(([name]) => name);
  }

  /** Stores a new object; the caller checked that the name is free. */
  create(resource: string, object: ApiObject): ApiObject {
    const bucket = this.#bucket(resource);
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    if (bucket.objects.has(key)) throw new StoreConflict(`${resource} ${key} exists`);
    return this.#commit(bucket, resource, key, 'ADDED', object, undefined);
  }

  /** Replaces an object; `expected` is the very object that the change was computed from. */
  update(resource: string, object: ApiObject, expected: ApiObject): ApiObject {
    const bucket = this.#bucket(resource);
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    if (bucket.objects.get(key) !== expected) throw new StoreConflict(`${resource} ${key} changed`);
    return this.#commit(bucket, resource, key, 'MODIFIED', object, expected);
  }

  /** Removes an object; `last` is its final state as watchers shall see it. */
  delete(resource: string, last: ApiObject, expected: ApiObject): ApiObject {
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
    return this.#bucket(resource).history.since(revision);
  }

  /** The first change after a revision; 'none' when there is none yet, 'forgotten' when the window no longer reaches back that far. */
  next(resource: string, revision: number): StoreEvent | 'none' | 'forgotten' {
    return this.#bucket(resource).history.next(revision);
  }

  /** Forgets states from before the last call: lists that began then cannot go on. Watches can, as by Kubernetes' cache. */
  compact(): void {
    this.#compacted = { latest: this.#revision, oldest: this.#compacted.latest };
  }

  /**
   * Objects as they were at a revision, in key order; undefined when that state
   * was forgotten, or the window of past changes does not reach back that far.
   */
  listAt(resource: string, revision: number, namespace?: string): readonly ApiObject[] | undefined {
    if (revision < this.#compacted.oldest) return undefined;
    const later = this.since(resource, revision);
    if (later === undefined) return undefined;
    if (later.length === 0) return this.list(resource, namespace);
    const objects = new Map(this.#bucket(resource).objects);
    // Undone from the newest to the oldest.
    for (const { type, object, previous } of later.toReversed()) {
      const key = keyOf(object.metadata.namespace, object.metadata.name);
      if (type === 'ADDED' || previous === undefined) objects.delete(key);
      else objects.set(key, previous);
    }
    const sorted = sortedObjects(objects);
    return namespace === undefined ? sorted : sorted.filter((o) => o.metadata.namespace === namespace);
  }

  /** Calls back, synchronously, on every later change of a resource. */
  subscribe(resource: string, listener: StoreListener): () => void {
    const { listeners } = this.#bucket(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Hands every later change to a keeper before anybody else sees it; a keeper that throws refuses the change. */
  keepWith(keep: StoreListener | undefined): void {
    this.#keep = keep;
  }

  /** Everything, for persistence. */
  snapshot(): { revision: number; objects: Record<string, readonly ApiObject[]> } {
    return {
      revision: this.#revision,
      objects: Object.fromEntries(this.resources().map((r) => [r, this.list(r)])),
    };
  }

  /** Loads a snapshot into an empty store. Older watches get 410. */
  restore(snapshot: { revision: number; objects: Record<string, readonly ApiObject[]> }): void {
    this.#revision = Math.max(this.#revision, snapshot.revision);
    this.#floor = this.#revision;
    for (const [resource, objects] of Object.entries(snapshot.objects)) {
      const bucket = this.#bucket(resource);
      for (const o of objects) bucket.objects.set(keyOf(o.metadata.namespace, o.metadata.name), o);
      bucket.history.reset(this.#floor);
    }
  }

  #bucket(resource: string): Bucket {
    let bucket = this.#buckets.get(resource);
    if (bucket === undefined) {
      bucket = {
        objects: new Map(),
        sorted: undefined,
        history: new History(this.#limits, this.#floor),
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
    object: ApiObject,
    previous: ApiObject | undefined,
  ): ApiObject {
    const revision = this.#revision + 1;
    const stored: ApiObject = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(revision) },
    };
    const event: StoreEvent = { type, revision, resource, object: stored, previous };
    this.#keep?.(event);
    this.#revision = revision;
    if (type === 'DELETED') bucket.objects.delete(key);
    else bucket.objects.set(key, stored);
    bucket.sorted = undefined;
    bucket.history.add(event);
    for (const listener of bucket.listeners) listener(event);
    return stored;
  }
}
