import { Collection } from './collection.js';

/**
 * Several collections as one, keeping no values of its own. Where two of them have a key, the earlier one's value
 * counts.
 */
export class JoinedCollection<T> extends Collection<T> {
  readonly #members: readonly Collection<T>[];

  constructor(members: readonly Collection<T>[]) {
    super();
    this.#members = members;
    for (const [rank, member] of members.entries()) {
      member.onChange((key, old, value) => this.#relay({ rank, key, old, value }));
    }
  }

  get size(): number {
    let size = 0;
    for (const _key of this.keys()) size += 1;
    return size;
  }

  *keys(): Iterable<string> {
    for (const [key] of this.entries()) yield key;
  }

  *entries(): Iterable<readonly [string, T]> {
    for (const [rank, member] of this.#members.entries()) {
      for (const entry of member.entries()) if (!this.#isHidden(rank, entry[0])) yield entry;
    }
  }

  protected peek(key: string): T | undefined {
    return firstWith(this.#members, key);
  }

  #relay(of: {
    readonly rank: number;
    readonly key: string;
    readonly old: T | undefined;
    readonly value: T | undefined;
  }): void {
    if (this.#isHidden(of.rank, of.key)) return;
    const behind = firstWith(this.#members.slice(of.rank + 1), of.key);
    this.announce(of.key, of.old ?? behind, of.value ?? behind);
  }

  #isHidden(rank: number, key: string): boolean {
    for (let earlier = 0; earlier < rank; earlier++) {
      if (this.#members[earlier]?.get(key) !== undefined) return true;
    }
    return false;
  }
}

function firstWith<T>(members: readonly Collection<T>[], key: string): T | undefined {
  for (const member of members) {
    const value = member.get(key);
    if (value !== undefined) return value;
  }
  return undefined;
}
