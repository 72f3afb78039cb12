/** All values of one run, by name of the measurement; the n-th values of two names are of the same round. */
export class Measurements {
  readonly #values = new Map<string, number[]>();

  record(name: string, value: number): void {
    if (!Number.isFinite(value)) throw new Error(`${name} came to ${value}`);
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  /** In order of the rounds; empty when it was not measured. */
  values(name: string): readonly number[] {
    return this.#values.get(name) ?? [];
  }

  /** Each value over its peer's of the same round, so that a slow minute of the machine hits both. */
  ratios(name: string, peer: string): readonly number[] {
    const peers = this.values(peer);
    return this.values(name).flatMap((value, round) => {
      const other = peers[round];
      return other === undefined || other === 0 ? [] : [value / other];
    });
  }
}

/** The middle value (mean of the two middle ones); NaN without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}
