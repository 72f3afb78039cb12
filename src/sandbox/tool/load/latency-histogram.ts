/** Buckets grow by this factor, so a reported percentile is at most 2 % above the true value. */
const growth = 1.02;
const lowestMs = 0.01;
const bucketCount = 1000;

/** Latencies in milliseconds in a fixed amount of memory. */
export class LatencyHistogram {
  readonly #buckets = new Uint32Array(bucketCount);
  #count = 0;
  #sum = 0;
  #max = 0;
  #min = Number.POSITIVE_INFINITY;

  record(ms: number): void {
    const index = Math.ceil(Math.log(Math.max(ms, lowestMs) / lowestMs) / Math.log(growth));
    const at = Math.min(Math.max(index, 0), bucketCount - 1);
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.#count++;
    this.#sum += ms;
    this.#max = Math.max(this.#max, ms);
    this.#min = Math.min(this.#min, ms);
  }

  /** The latency that `percent` of the samples do not exceed; 0 without samples. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.ceil((this.#count * percent) / 100));
    let seen = 0;
    for (let i = 0; i < bucketCount; i++) {
      seen += this.#buckets[i] ?? 0;
      if (seen >= wanted) return Math.min(lowestMs * growth ** i, this.#max);
    }
    return 0;
  }

  /** Samples up to each of some bounds and above the one before it, as `[upper bound in ms, count]`; empty ones left out. */
  buckets(): [number, number][] {
    const perDecade = 3;
    const counts = new Map<number, number>();
    for (let i = 0; i < bucketCount; i++) {
      const count = this.#buckets[i] ?? 0;
      if (count === 0) continue;
      const bound = 10 ** (Math.ceil(Math.log10(lowestMs * growth ** i) * perDecade) / perDecade);
      counts.set(bound, (counts.get(bound) ?? 0) + count);
    }
    return [...counts].map(([bound, count]) => [Number(bound.toPrecision(3)), count]);
  }

  summary(): Readonly<Record<'min' | 'mean' | 'p50' | 'p90' | 'p99' | 'p999' | 'max', number>> {
    const rounded = (ms: number): number => Number(ms.toFixed(3));
    return {
      min: this.#count === 0 ? 0 : rounded(this.#min),
      mean: this.#count === 0 ? 0 : rounded(this.#sum / this.#count),
      p50: rounded(this.percentile(50)),
      p90: rounded(this.percentile(90)),
      p99: rounded(this.percentile(99)),
      p999: rounded(this.percentile(99.9)),
      max: rounded(this.#max),
    };
  }
}
