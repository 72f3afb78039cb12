/** Headers in order, names in lower case, repetitions kept. */
export class HeaderList {
  #entries: [name: string, value: string][];

  private constructor(entries: [name: string, value: string][]) {
    this.#entries = entries;
  }

  /** From Node's `rawHeaders`: name, value, name, value. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const entries: [string, string][] = [];
    for (let i = 0; i + 1 < raw.length; i += 2) {
      entries.push([(raw[i] ?? '').toLowerCase(), raw[i + 1] ?? '']);
    }
    return new HeaderList(entries);
  }

  /** From pairs whose names are already in lower case. */
  static of(...entries: readonly (readonly [string, string])[]): HeaderList {
    return new HeaderList(entries.map(([name, value]) => [name, value]));
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Every value of a name. */
  all(name: string): string[] {
    return this.#entries.filter(([n]) => n === name).map(([, value]) => value);
  }

  /** The values of a name joined by `,`, as one list; undefined when absent. */
  joined(name: string): string | undefined {
    const values = this.all(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  has(name: string): boolean {
    return this.#entries.some(([n]) => n === name);
  }

  /** Replaces every value of a name by one. */
  set(name: string, value: string): void {
    this.remove(name);
    this.#entries.push([name, value]);
  }

  remove(name: string): void {
    this.#entries = this.#entries.filter(([n]) => n !== name);
  }

  clone(): HeaderList {
    return HeaderList.of(...this.#entries);
  }

  [Symbol.iterator](): IterableIterator<readonly [string, string]> {
    return this.#entries[Symbol.iterator]();
  }

  /** Flat list as Node writes it. */
  toRaw(): string[] {
    return this.#entries.flat();
  }

  /** As Node's HTTP/2 takes them: repetitions become a list. */
  toObject(): Record<string, string | string[]> {
    const object: Record<string, string | string[]> = Object.create(null);
    for (const [name, value] of this.#entries) {
      const held = object[name];
      if (held === undefined) object[name] = value;
      else if (Array.isArray(held)) held.push(value);
      else object[name] = [held, value];
    }
    return object;
  }

  /** Size on an HTTP/1 wire. */
  get sizeBytes(): number {
    return this.#entries.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  }
}
