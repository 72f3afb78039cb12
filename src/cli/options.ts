/** The flags of an invocation, read by name. Values were checked while parsing. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** Value of `--name VALUE`; undefined when absent (or given without its optional value). */
  text(name: string): string | undefined {
    const value = this.#values[camelCase(name)];
    return typeof value === 'string' ? value : undefined;
  }

  /** All values of a repeatable flag, in order. */
  texts(name: string): readonly string[] {
    const value = this.#values[camelCase(name)];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** Whether a flag was given (with or without its optional value). `--no-x` is read as `!flag('x')`. */
  flag(name: string): boolean {
    const value = this.#values[camelCase(name)];
    return value !== undefined && value !== false;
  }

  /** Value of an integer flag, or milliseconds of a duration flag. */
  number(name: string): number | undefined {
    const value = this.#values[camelCase(name)];
    return typeof value === 'number' ? value : undefined;
  }
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
