/** The `variables` of a policy: each is evaluated when an expression first asks for it. */
export class LazyVariables extends Map<string, unknown> {
  readonly #sources: ReadonlyMap<string, () => unknown>;

  constructor(sources: ReadonlyMap<string, () => unknown>) {
    super();
    this.#sources = sources;
  }

  override get(name: string): unknown {
    if (this.has(name)) return super.get(name);
    const value = this.#sources.get(name)?.();
    if (value !== undefined) this.set(name, value);
    return value;
  }
}
