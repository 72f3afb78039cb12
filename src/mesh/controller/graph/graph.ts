import { isDeepStrictEqual } from 'node:util';
import { type Collection, StoredCollection } from './collection.js';
import { JoinedCollection } from './join.js';
import type { Followed, Reader, ReaderTable } from './readers.js';

/** A computed value with its key. */
export interface Keyed<T> {
  readonly key: string;
  readonly value: T;
}

export interface DeriveOptions<I, O> {
  /** Under which its recomputations are counted. */
  readonly name: string;
  readonly from: Collection<I>;
  /**
   * What every computation reads under its input's own key. Reading it needs no entry for each input, which is most
   * of what tracking costs where inputs are many.
   */
  readonly follows?: readonly Followed[];
  /** Pure: reads its input and, through `reader`, other collections. Keys must be its own among all inputs. */
  readonly compute: (input: I, reader: Reader) => Iterable<Keyed<O>>;
  /** Whether two values are the same to every reader; default deep equality. */
  readonly isEqual?: (a: O, b: O) => boolean;
}

/** Told of an input whose computation threw. */
export type ComputeFailed = (key: string, error: unknown) => void;

/** Called once per flush with the keys of one collection that changed. */
type FlushListener = (changed: ReadonlySet<string>) => void;

/** Computations that ran, by name of the collection; those that did not run at all are left out. */
export type Recomputations = ReadonlyMap<string, number>;

/**
 * Collections derived from one another, kept up to date incrementally: a change marks exactly the
 * computations that read it, and `flush` reruns those, in the order in which collections were made
 * (which is the order of dependency), so every computation sees consistent inputs and runs once.
 */
export class Graph {
  readonly #nodes: DerivedCollection<never, unknown>[] = [];
  readonly #records: { changed: Set<string>; readonly listener: FlushListener }[] = [];
  readonly #onStale: () => void;
  readonly #onError: ComputeFailed;

  /**
   * `onStale` is called whenever something awaits a flush, possibly many times before it; `onError` when
   * a computation throws: what it last made stays in force, and everything else is computed.
   */
  constructor(onStale: () => void, onError: ComputeFailed) {
    this.#onStale = onStale;
    this.#onError = onError;
  }

  /** A collection fed from outside. */
  source<T>(): SourceCollection<T> {
    return new SourceCollection<T>(this.#onStale);
  }

  /** A collection computed from another, input by input. */
  derive<I, O>(options: DeriveOptions<I, O>): Collection<O> {
    const node = new DerivedCollection<I, O>(options, { onStale: this.#onStale, onError: this.#onError });
    this.#nodes.push(node as unknown as DerivedCollection<never, unknown>);
    return node;
  }

  /** Several collections as one; of two values under one key, the earlier collection's counts. */
  join<T>(...members: readonly Collection<T>[]): Collection<T> {
    return new JoinedCollection(members);
  }

  /** Tells the listener of the changes of every flush that changed the collection. */
  onFlush(collection: Pick<Collection<unknown>, 'onKeyChange'>, listener: FlushListener): void {
    const record = { changed: new Set<string>(), listener };
    collection.onKeyChange((key) => record.changed.add(key));
    this.#records.push(record);
  }

  /** Recomputes whatever is stale, and says what that was. */
  flush(): Recomputations {
    const recomputations = new Map<string, number>();
    for (const node of this.#nodes) {
      const count = node.refresh();
      if (count > 0) recomputations.set(node.name, (recomputations.get(node.name) ?? 0) + count);
    }
    for (const record of this.#records) {
      const { changed } = record;
      if (changed.size === 0) continue;
      record.changed = new Set();
      record.listener(changed);
    }
    return recomputations;
  }
}

/** A collection whose values come from outside the graph. */
export class SourceCollection<T> extends StoredCollection<T> {
  readonly #onStale: () => void;

  constructor(onStale: () => void) {
    super();
    this.#onStale = onStale;
  }

  /** Sets a value, or removes it with undefined. A value equal to the present one changes nothing. */
  set(key: string, value: T | undefined): void {
    if (isDeepStrictEqual(this.peek(key), value)) return;
    this.store(key, value);
    this.#onStale();
  }
}

/** Whose computation a cell stands for. */
interface CellOwner {
  markStale(key: string): void;
  follows(source: Followed): boolean;
}

/** One input's computation: its outputs and what it read. */
class Cell implements Reader {
  readonly #owner: CellOwner;
  readonly #key: string;
  /** Where it is entered as a reader: tables and keys by turns. */
  #entries: (ReaderTable | string)[] = [];
  /** Keys of what it made; one, which most make, without a list around it. */
  outputs: string | readonly string[] = [];

  constructor(owner: CellOwner, key: string) {
    this.#owner = owner;
    this.#key = key;
  }

  markStale(): void {
    this.#owner.markStale(this.#key);
  }

  follows(source: Followed, key: string): boolean {
    return key === this.#key && this.#owner.follows(source);
  }

  remember(table: ReaderTable, key: string): void {
    this.#entries.push(table, key);
  }

  forgetAll(): void {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i += 2) {
      (entries[i] as ReaderTable).remove(entries[i + 1] as string, this);
    }
    this.#entries = [];
  }
}

class DerivedCollection<I, O> extends StoredCollection<O> implements CellOwner {
  readonly #options: DeriveOptions<I, O>;
  readonly #onStale: () => void;
  readonly #onError: ComputeFailed;
  readonly #followed: ReadonlySet<Followed>;
  readonly #cells = new Map<string, Cell>();
  #stale = new Set<string>();

  constructor(
    options: DeriveOptions<I, O>,
    on: { readonly onStale: () => void; readonly onError: ComputeFailed },
  ) {
    super();
    this.#options = options;
    this.#onStale = on.onStale;
    this.#onError = on.onError;
    this.#followed = new Set(options.follows);
    options.from.onKeyChange((key) => this.markStale(key));
    for (const source of this.#followed) {
      source.onKeyChange((key) => {
        if (this.#cells.has(key)) this.markStale(key);
      });
    }
    for (const key of options.from.keys()) this.#stale.add(key);
  }

  get name(): string {
    return this.#options.name;
  }

  markStale(key: string): void {
    this.#stale.add(key);
    this.#onStale();
  }

  follows(source: Followed): boolean {
    return this.#followed.has(source);
  }

  /** Reruns what is stale; returns how many computations that were. */
  refresh(): number {
    const stale = this.#stale;
    if (stale.size === 0) return 0;
    this.#stale = new Set();
    for (const key of stale) this.#recompute(key);
    return stale.size;
  }

  #recompute(key: string): void {
    const cell = this.#cells.get(key) ?? new Cell(this, key);
    cell.forgetAll();
    const input = this.#options.from.get(key);
    const outputs = new Map<string, O>();
    if (input === undefined) {
      this.#cells.delete(key);
    } else {
      this.#cells.set(key, cell);
      try {
        for (const output of this.#options.compute(input, cell)) outputs.set(output.key, output.value);
      } catch (error) {
        this.#onError(key, error);
        return;
      }
    }
    const before = cell.outputs;
    const [first] = outputs.keys();
    cell.outputs = first !== undefined && outputs.size === 1 ? first : [...outputs.keys()];
    for (const gone of typeof before === 'string' ? [before] : before) {
      if (!outputs.has(gone)) this.store(gone, undefined);
    }
    for (const [outputKey, value] of outputs) {
      const old = this.peek(outputKey);
      if (old !== undefined && (this.#options.isEqual ?? isDeepStrictEqual)(old, value)) continue;
      this.store(outputKey, value);
    }
  }
}
