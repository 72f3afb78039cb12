/**
 * Any number of values to a key. Most keys have one value, which costs no set of its own: at tens of
 * thousands of keys that is most of the memory.
 */
export class Groups<V extends string | object> {
  readonly #byKey = new Map<string, V | Set<V>>();

  /** False when the value was there already. */
  add(key: string, value: V): boolean {
    const present = this.#byKey.get(key);
    if (present === undefined) {
      this.#byKey.set(key, value);
      return true;
    }
    if (present instanceof Set) {
      if (present.has(value)) return false;
      present.add(value);
      return true;
    }
    if (present === value) return false;
    this.#byKey.set(key, new Set([present, value]));
    return true;
  }

  delete(key: string, value: V): void {
    const present = this.#byKey.get(key);
    if (present === value) this.#byKey.delete(key);
    if (!(present instanceof Set) || !present.delete(value) || present.size > 1) return;
    const [last] = present;
    if (last === undefined) this.#byKey.delete(key);
    else this.#byKey.set(key, last);
  }

  /** The values of a key, in the order in which they came. */
  of(key: string): Iterable<V> {
    const present = this.#byKey.get(key);
    if (present === undefined) return [];
    return present instanceof Set ? present : [present];
  }

  countOf(key: string): number {
    const present = this.#byKey.get(key);
    if (present === undefined) return 0;
    return present instanceof Set ? present.size : 1;
  }
}
