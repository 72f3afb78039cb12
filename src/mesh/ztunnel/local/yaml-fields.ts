import { type Cidr, parseCidr } from '#base/net/cidr.js';

type Fields = Readonly<Record<string, unknown>>;

/** Typed access to one mapping of the file; errors name the place. */
export class YamlFields {
  readonly #place: string;

  readonly #fields: Fields;

  constructor(value: unknown, place: string) {
    this.#place = place;

    if (value === null || value === undefined) this.#fields = {};
    else if (typeof value === 'object' && !Array.isArray(value)) this.#fields = value as Fields;
    else throw new Error(`${place} is not a mapping`);
  }

  only(known: readonly string[]): void {
    for (const key of Object.keys(this.#fields)) {
      if (!known.includes(key)) throw new Error(`${this.#place} has the unknown key ${key}`);
    }
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined && this.#fields[key] !== null;
  }

  raw(key: string): unknown {
    return this.#fields[key];
  }

  text(key: string, fallback = ''): string {
    if (!this.has(key)) return fallback;
    const value = this.#fields[key];
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    throw new Error(`${this.#place}.${key} is not text`);
  }

  number(key: string, fallback: number): number {
    if (!this.has(key)) return fallback;
    const value = this.#fields[key];
    if (typeof value !== 'number') throw new Error(`${this.#place}.${key} is not a number`);
    return value;
  }

  flag(key: string): boolean {
    return this.#fields[key] === true;
  }

  /** The value of one of the words; the comparison ignores case. */
  word<T>(key: string, words: Readonly<Record<string, T>>, fallback: T): T {
    return this.has(key) ? wordValue(this.text(key), words, `${this.#place}.${key}`) : fallback;
  }

  texts(key: string): string[] {
    return this.array(key).map(String);
  }

  array(key: string): unknown[] {
    if (!this.has(key)) return [];
    const value = this.#fields[key];
    if (!Array.isArray(value)) throw new Error(`${this.#place}.${key} is not a list`);
    return value;
  }

  list(key: string): YamlFields[] {
    return this.array(key).map((item, i) => new YamlFields(item, `${this.#place}.${key}[${i}]`));
  }

  child(key: string): YamlFields | undefined {
    return this.has(key) ? new YamlFields(this.#fields[key], `${this.#place}.${key}`) : undefined;
  }

  /** A mapping of ports to ports. */
  ports(): { servicePort: number; targetPort: number }[] {
    return Object.entries(this.#fields).map(([from, to]) => {
      const [servicePort, targetPort] = [Number(from), Number(to)];
      if (!Number.isInteger(servicePort) || !Number.isInteger(targetPort))
        throw new Error(`${this.#place}: ${from}: ${String(to)} are not ports`);
      return { servicePort, targetPort };
    });
  }

  keys(): string[] {
    return Object.keys(this.#fields);
  }
}

/** The value of one of the words; the comparison ignores case. Throws, naming the place. */
export function wordValue<T>(text: string, words: Readonly<Record<string, T>>, place: string): T {
  const found = Object.entries(words).find(([word]) => word.toLowerCase() === text.toLowerCase());
  if (found === undefined)
    throw new Error(`${place} is ${text}, expected ${Object.keys(words).join(' or ')}`);
  return found[1];
}

/** An address range, or an address alone. Throws when it is neither. */
export function readCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is not an address range`);
  return cidr;
}
