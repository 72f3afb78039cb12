import type { KubeObject } from '#base/kube/types.js';
import type { Reflector } from '#base/kube/reflector.js';

/** A write of ours that the watch has not confirmed within this time is forgotten. */
const unconfirmedMaxMs = 10_000;

/** Told of every change; `old` is what the cache held before. */
export type CacheListener<T> = (change: {
  readonly object: T;
  readonly old?: T | undefined;
  readonly isGone: boolean;
}) => void;

interface Unconfirmed<T> {
  readonly object: T;
  /** The watch has caught up when it shows this version or a later one. */
  readonly confirmedAt: number;
  readonly until: number;
}

/**
 * A reflector's copy of one kind, indexed by namespace and by controlling owner,
 * that also shows our own writes before the watch does. Without that, a
 * controller that runs again right after creating a pod would create it twice.
 */
export class ObjectCache<T extends KubeObject> {
  readonly #reflector: Reflector<T>;
  readonly #items = new Map<string, T>();
  readonly #unconfirmed = new Map<string, Unconfirmed<T>>();
  readonly #byNamespace = new Map<string, Set<string>>();
  readonly #byOwner = new Map<string, Set<string>>();
  readonly #listeners = new Set<CacheListener<T>>();
  readonly #now: () => number;

  constructor(reflector: Reflector<T>, now: () => number = Date.now) {
    this.#reflector = reflector;
    this.#now = now;
    reflector.onChange((change) => this.#take(change.object, change.type === 'deleted'));
  }

  /** Resolves after the first complete list. */
  synced(): Promise<void> {
    return this.#reflector.synced();
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#current(keyOf(namespace, name));
  }

  list(): T[] {
    return this.#collect(new Set([...this.#items.keys(), ...this.#unconfirmed.keys()]));
  }

  inNamespace(namespace: string): T[] {
    return this.#collect(this.#byNamespace.get(namespace) ?? []);
  }

  /** Objects whose controlling owner has this uid. */
  ownedBy(uid: string | undefined): T[] {
    return uid === undefined
      ? []
      : this.#collect(this.#byOwner.get(uid) ?? []).filter((o) => controllerOf(o)?.uid === uid);
  }

  /** Records what the API server answered to a create or update of ours. */
  remember(object: T): void {
    const version = versionOf(object);
    const known = this.#items.get(keyOfObject(object));
    if (known !== undefined && versionOf(known) >= version) return;
    this.#keep(object, version);
  }

  /** Records that we deleted an object: it counts as terminating until the watch says more. */
  rememberDeletion(object: T): void {
    if (object.metadata.deletionTimestamp !== undefined) return;
    const known = this.#items.get(keyOfObject(object));
    if (known === undefined || known.metadata.uid !== object.metadata.uid) return;
    const metadata = { ...known.metadata, deletionTimestamp: new Date(this.#now()).toISOString() };
    this.#keep({ ...known, metadata }, versionOf(known) + 1);
  }

  /** Records a change of ours whose answer did not carry the object: it holds until a later version arrives. */
  rememberChange(object: T): void {
    const version = versionOf(object);
    const known = this.#items.get(keyOfObject(object));
    if (known === undefined || versionOf(known) > version) return;
    this.#keep(object, version + 1);
  }

  /** Calls `listener` for every change the watch brings; returns the function that stops it. */
  onChange(listener: CacheListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #keep(object: T, confirmedAt: number): void {
    const key = keyOfObject(object);
    this.#unconfirmed.set(key, { object, confirmedAt, until: this.#now() + unconfirmedMaxMs });
    this.#index(key, object);
  }

  #take(object: T, isGone: boolean): void {
    const key = keyOfObject(object);
    const old = this.#items.get(key);
    const pending = this.#unconfirmed.get(key);
    const isConfirmed =
      pending !== undefined &&
      (versionOf(object) >= pending.confirmedAt ||
        (isGone && pending.object.metadata.uid === object.metadata.uid));
    if (isConfirmed) this.#unconfirmed.delete(key);
    if (old !== undefined) this.#unindex(key, old);
    if (pending !== undefined) this.#unindex(key, pending.object);
    if (isGone) this.#items.delete(key);
    else this.#items.set(key, object);
    const current = this.#current(key);
    if (current !== undefined) this.#index(key, current);
    for (const listener of this.#listeners) listener({ object, old, isGone });
  }

  #current(key: string): T | undefined {
    const pending = this.#unconfirmed.get(key);
    if (pending === undefined) return this.#items.get(key);
    if (pending.until > this.#now()) return pending.object;
    this.#unconfirmed.delete(key);
    this.#unindex(key, pending.object);
    const item = this.#items.get(key);
    if (item !== undefined) this.#index(key, item);
    return item;
  }

  #collect(keys: Iterable<string>): T[] {
    const found: T[] = [];
    // Copied: an expired write changes the index while it is read.
    for (const key of Array.from(keys)) {
      const object = this.#current(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  #index(key: string, object: T): void {
    addTo(this.#byNamespace, object.metadata.namespace ?? '', key);
    const owner = controllerOf(object)?.uid;
    if (owner !== undefined) addTo(this.#byOwner, owner, key);
  }

  #unindex(key: string, object: T): void {
    removeFrom(this.#byNamespace, object.metadata.namespace ?? '', key);
    const owner = controllerOf(object)?.uid;
    if (owner !== undefined) removeFrom(this.#byOwner, owner, key);
  }
}

/** The owner that manages the object, if any. */
export function controllerOf(
  object: KubeObject,
): NonNullable<KubeObject['metadata']['ownerReferences']>[number] | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** `namespace/name`; cluster-scoped objects have an empty namespace. */
export function keyOfObject(object: KubeObject): string {
  return keyOf(object.metadata.namespace, object.metadata.name);
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

/** Both the embedded API server and etcd hand out growing integers. */
function versionOf(object: KubeObject): number {
  const version = Number(object.metadata.resourceVersion ?? 0);
  return Number.isFinite(version) ? version : 0;
}

function addTo(index: Map<string, Set<string>>, at: string, key: string): void {
  const set = index.get(at);
  if (set === undefined) index.set(at, new Set([key]));
  else set.add(key);
}

function removeFrom(index: Map<string, Set<string>>, at: string, key: string): void {
  const set = index.get(at);
  set?.delete(key);
  if (set?.size === 0) index.delete(at);
}
