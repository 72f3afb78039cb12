import { Groups } from './groups.js';

/** Something whose changes are told by key. */
export interface Followed {
  /** Calls the listener with every key under which a reading would come out differently than before. */
  onKeyChange(listener: (key: string) => void): void;
}

/** Something that must be recomputed when a value it read changes. */
export interface Reader {
  markStale(): void;
  /** Whether it is told of this key without being entered anywhere. */
  follows(source: Followed, key: string): boolean;
  /** Notes where it was entered, so that it can be taken out before it reads anew. */
  remember(table: ReaderTable, key: string): void;
}

/** Who read what, by key. */
export class ReaderTable {
  readonly #readers = new Groups<Reader>();

  add(key: string, reader: Reader): void {
    if (this.#readers.add(key, reader)) reader.remember(this, key);
  }

  remove(key: string, reader: Reader): void {
    this.#readers.delete(key, reader);
  }

  markStale(key: string): void {
    for (const reader of this.#readers.of(key)) reader.markStale();
  }
}
