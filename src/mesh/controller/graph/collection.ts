import { Groups } from './groups.js';
import { type Followed, type Reader, ReaderTable } from './readers.js';

/** Told of a value that appeared (no old one), changed, or went (no new one). */
type ChangeListener<T> = (key: string, old: T | undefined, value: T | undefined) => void;

/** A keyed set of immutable values that others can read, index and be told about. */
export abstract class Collection<T> implements Followed {
  readonly #readers = new ReaderTable();
  readonly #listReaders = new ReaderTable();
  readonly #listeners = new Set<ChangeListener<T>>();

  abstract get size(): number;
  abstract keys(): Iterable<string>;
  abstract entries(): Iterable<readonly [string, T]>;
  protected abstract peek(key: string): T | undefined;

  /** The value under a key; the reader is told when it appears, changes or goes. */
  get(key: string, reader?: Reader): T | undefined {
    if (reader !== undefined && !reader.follows(this, key)) this.#readers.add(key, reader);
    return this.peek(key);
  }

  /** Every value; the reader is told of any change, so this suits small collections only. */
  list(reader?: Reader): readonly T[] {
    if (reader !== undefined) this.#listReaders.add('', reader);
    return Array.from(this.entries(), ([, value]) => value);
  }

  /** Adds an index; existing values are indexed at once. */
  index(keysOf: (value: T) => Iterable<string>): Index<T> {
    return new Index(this, keysOf);
  }

  /**
   * Calls the listener for every value that appears, changes or goes, before anything is recomputed; returns how to
   * stop that.
   */
  onChange(listener: ChangeListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onKeyChange(listener: (key: string) => void): () => void {
    return this.onChange((key) => listener(key));
  }

  /** Tells indexes and readers of a change that `peek` already shows. */
  protected announce(key: string, old: T | undefined, value: T | undefined): void {
    for (const listener of this.#listeners) listener(key, old, value);
    this.#readers.markStale(key);
    this.#listReaders.markStale('');
  }
}

/** A collection that keeps its values itself. */
export class StoredCollection<T> extends Collection<T> {
  readonly #values = new Map<string, T>();

  get size(): number {
    return this.#values.size;
  }

  keys(): Iterable<string> {
    return this.#values.keys();
  }

  entries(): Iterable<readonly [string, T]> {
    return this.#values.entries();
  }

  protected peek(key: string): T | undefined {
    return this.#values.get(key);
  }

  /** Replaces a value or, with undefined, removes it. */
  protected store(key: string, value: T | undefined): void {
    const old = this.#values.get(key);
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.announce(key, old, value);
  }
}

/** The values of a collection grouped by derived keys, e.g. services by namespace. */
export class Index<T> implements Followed {
  readonly #collection: Collection<T>;
  /** Keys of the collection by group. */
  readonly #groups = new Groups<string>();
  readonly #readers = new ReaderTable();
  readonly #listeners: ((groupKey: string) => void)[] = [];

  constructor(collection: Collection<T>, keysOf: (value: T) => Iterable<string>) {
    this.#collection = collection;
    for (const [key, value] of collection.entries()) {
      for (const group of keysOf(value)) this.#groups.add(group, key);
    }
    collection.onChange((key, old, value) => {
      const left = new Set(old === undefined ? [] : keysOf(old));
      const joined = new Set(value === undefined ? [] : keysOf(value));
      for (const group of left) if (!joined.has(group)) this.#groups.delete(group, key);
      for (const group of joined) this.#groups.add(group, key);
      for (const group of new Set([...left, ...joined])) this.#tell(group);
    });
  }

  /** The group's values; the reader is told when a member appears, changes or goes. */
  get(groupKey: string, reader?: Reader): readonly T[] {
    if (reader !== undefined && !reader.follows(this, groupKey)) this.#readers.add(groupKey, reader);
    const values: T[] = [];
    for (const key of this.#groups.of(groupKey)) {
      const value = this.#collection.get(key);
      if (value !== undefined) values.push(value);
    }
    return values;
  }

  onKeyChange(listener: (groupKey: string) => void): void {
    this.#listeners.push(listener);
  }

  #tell(group: string): void {
    for (const listener of this.#listeners) listener(group);
    this.#readers.markStale(group);
  }
}
