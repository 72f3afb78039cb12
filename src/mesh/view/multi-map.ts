/** Several values by key; a lone one, which is nearly every one, takes no container. */
export class MultiMap<T extends object> {
  readonly #entries = new Map<string, T | T[]>();

  add(key: string, value: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, value);
    else if (Array.isArray(entry)) entry.push(value);
    else this.#entries.set(key, [entry, value]);
  }

  delete(key: string, value: T): void {
    const entry = this.#entries.get(key);
    if (entry === value) {
      this.#entries.delete(key);
    } else if (Array.isArray(entry)) {
      const left = entry.filter((other) => other !== value);
      if (left.length === 0) this.#entries.delete(key);
      else this.#entries.set(key, left);
    }
  }

  get(key: string): readonly T[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    return Array.isArray(entry) ? entry : [entry];
  }
}
