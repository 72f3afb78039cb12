/** Something that must be recomputed when a value it read changes. */
export interface Reader {
  markStale(): void;
  /** Lets the reader forget this dependency before its next computation. */
  onForget(forget: () => void): void;
}

/** Readers by the key they asked for. */
class ReaderTable {
  readonly #byKey = new Map<string, Set<Reader>>();

  add(key: string, reader: Reader): void {
    let readers = this.#byKey.get(key);
    if (readers === undefined) {
      readers = new Set();
      this.#byKey.set(key, readers);
    }
    if (readers.has(reader)) return;
    readers.add(reader);
    const registered = readers;
    reader.onForget(() => {
      registered.delete(reader);
      if (registered.size === 0 && this.#byKey.get(key) === registered) this.#byKey.delete(key);
    });
  }

  markStale(key: string): void {
    for (const reader of this.#byKey.get(key) ?? []) reader.markStale();
  }
}

/** The values of a collection grouped by derived keys, e.g. services by namespace. */
export class Index<T> {
  readonly #keysOf: (value: T) => Iterable<string>;
  readonly #groups = new Map<string, Map<string, T>>();
  readonly #readers = new ReaderTable();

  constructor(keysOf: (value: T) => Iterable<string>) {
    this.#keysOf = keysOf;
  }

  /** The group's values; the reader is told when the group changes. */
  get(indexKey: string, reader?: Reader): readonly T[] {
    if (reader !== undefined) this.#readers.add(indexKey, reader);
    return [...(this.#groups.get(indexKey)?.values() ?? [])];
  }

  update(key: string, old: T | undefined, value: T | undefined): void {
    const touched = new Set<string>();
    for (const indexKey of old === undefined ? [] : this.#keysOf(old)) {
      touched.add(indexKey);
      const group = this.#groups.get(indexKey);
      group?.delete(key);
      if (group?.size === 0) this.#groups.delete(indexKey);
    }
    if (value !== undefined) {
      for (const indexKey of this.#keysOf(value)) {
        touched.add(indexKey);
        const group = this.#groups.get(indexKey) ?? new Map<string, T>();
        group.set(key, value);
        this.#groups.set(indexKey, group);
      }
    }
    for (const indexKey of touched) this.#readers.markStale(indexKey);
  }
}

/** A keyed set of immutable values that others can read, index and be told about. */
export class Collection<T> {
  readonly #values = new Map<string, T>();
  readonly #readers = new ReaderTable();
  readonly #allReaders = new ReaderTable();
  readonly #indexes: Index<T>[] = [];
  readonly #keyListeners: ((key: string) => void)[] = [];
  /** Changed keys since the last look; only kept once somebody looks. */
  #changed: Set<string> | undefined;

  get size(): number {
    return this.#values.size;
  }

  /** The value under a key; the reader is told when it appears, changes or goes. */
  get(key: string, reader?: Reader): T | undefined {
    if (reader !== undefined) this.#readers.add(key, reader);
    return this.#values.get(key);
  }

  /** Every value; the reader is told of any change, so this suits small collections only. */
  list(reader?: Reader): readonly T[] {
    if (reader !== undefined) this.#allReaders.add('', reader);
    return [...this.#values.values()];
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Adds an index; existing values are indexed at once. */
  index(keysOf: (value: T) => Iterable<string>): Index<T> {
    const index = new Index(keysOf);
    for (const [key, value] of this.#values) index.update(key, undefined, value);
    this.#indexes.push(index);
    return index;
  }

  /** Calls `listener` with the key of every value that appears, changes or goes. */
  onKeyChange(listener: (key: string) => void): void {
    this.#keyListeners.push(listener);
  }

  /** Replaces or, with undefined, removes a value and marks everything that read it stale. */
  protected store(key: string, value: T | undefined): void {
    const old = this.#values.get(key);
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.#changed?.add(key);
    for (const index of this.#indexes) index.update(key, old, value);
    for (const listener of this.#keyListeners) listener(key);
    this.#readers.markStale(key);
    this.#allReaders.markStale('');
  }

  /** Keys changed since the last call; the first call starts the record with everything present. */
  takeChanges(): ReadonlySet<string> {
    const changed = this.#changed ?? new Set(this.#values.keys());
    this.#changed = new Set();
    return changed;
  }
}
