import { isDeepStrictEqual } from 'node:util';
import { Collection, type Reader } from './collection.js';

/** A computed value with its key. */
export interface Keyed<T> {
  readonly key: string;
  readonly value: T;
}

export interface DeriveOptions<I, O> {
  readonly from: Collection<I>;
  /** Pure: reads its input and, through `reader`, other collections. Keys must be its own among all inputs. */
  readonly compute: (input: I, reader: Reader) => Iterable<Keyed<O>>;
  /** Whether two values are the same to every reader; default deep equality. */
  readonly isEqual?: (a: O, b: O) => boolean;
}

/** A collection of any value type, as far as its changes go. */
type Recorded = Pick<Collection<unknown>, 'takeChanges'>;

/** Told of an input whose computation threw. */
export type ComputeFailed = (key: string, error: unknown) => void;

/** Called once per flush with the keys of one collection that changed. */
type FlushListener = (changed: ReadonlySet<string>) => void;

/**
 * Collections derived from one another, kept up to date incrementally: a change marks exactly the
 * computations that read it, and `flush` reruns those, in the order in which collections were made
 * (which is the order of dependency), so every computation sees consistent inputs and runs once.
 */
export class Graph {
  readonly #nodes: DerivedCollection<never, unknown>[] = [];
  readonly #listeners = new Map<Recorded, FlushListener[]>();
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

  /** Tells `listener` of the changes of every flush that changed the collection. */
  onFlush(collection: Recorded, listener: FlushListener): void {
    const listeners = this.#listeners.get(collection);
    if (listeners === undefined) this.#listeners.set(collection, [listener]);
    else listeners.push(listener);
  }

  /** Recomputes whatever is stale; true when anything observable changed. */
  flush(): boolean {
    for (const node of this.#nodes) node.refresh();
    let hasChanged = false;
    for (const [collection, listeners] of this.#listeners) {
      const changed = collection.takeChanges();
      if (changed.size === 0) continue;
      hasChanged = true;
      for (const listener of listeners) listener(changed);
    }
    return hasChanged;
  }
}

/** A collection whose values come from outside the graph. */
export class SourceCollection<T> extends Collection<T> {
  readonly #onStale: () => void;

  constructor(onStale: () => void) {
    super();
    this.#onStale = onStale;
  }

  /** Sets a value, or removes it with undefined. A value equal to the present one changes nothing. */
  set(key: string, value: T | undefined): void {
    if (isDeepStrictEqual(this.get(key), value)) return;
    this.store(key, value);
    this.#onStale();
  }
}

/** One input's computation: its outputs and what it read. */
class Cell implements Reader {
  outputs: readonly string[] = [];
  readonly #markStale: () => void;
  #forgets: (() => void)[] = [];

  constructor(markStale: () => void) {
    this.#markStale = markStale;
  }

  markStale(): void {
    this.#markStale();
  }

  onForget(forget: () => void): void {
    this.#forgets.push(forget);
  }

  forgetAll(): void {
    for (const forget of this.#forgets) forget();
    this.#forgets = [];
  }
}

class DerivedCollection<I, O> extends Collection<O> {
  readonly #options: DeriveOptions<I, O>;
  readonly #onStale: () => void;
  readonly #onError: ComputeFailed;
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
    options.from.onKeyChange((key) => this.#markStale(key));
    for (const key of options.from.keys()) this.#stale.add(key);
  }

  refresh(): void {
    if (this.#stale.size === 0) return;
    const stale = this.#stale;
    this.#stale = new Set();
    for (const key of stale) this.#recompute(key);
  }

  #markStale(key: string): void {
    this.#stale.add(key);
    this.#onStale();
  }

  #recompute(key: string): void {
    const cell = this.#cells.get(key) ?? new Cell(() => this.#markStale(key));
    cell.forgetAll();
    const input = this.#options.from.get(key);
    const before = cell.outputs;
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
    cell.outputs = [...outputs.keys()];
    for (const gone of before) if (!outputs.has(gone)) this.store(gone, undefined);
    for (const [outputKey, value] of outputs) {
      const old = this.get(outputKey);
      if (old !== undefined && (this.#options.isEqual ?? isDeepStrictEqual)(old, value)) continue;
      this.store(outputKey, value);
    }
  }
}
