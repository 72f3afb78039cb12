import type { Json } from '../../base/json.js';
import { isObject } from '../../base/json.js';
import type { StoreEvent } from './store-event.js';

export interface HistoryLimits {
  /** Events kept at most. */
  readonly events: number;
  /** Estimated bytes of the objects in them. */
  readonly bytes: number;
  /** How many times as much is kept of what is fresh. */
  readonly burst: number;
}

/** Kept whatever its size, so that watchers of large objects can still follow. */
const eventsMin = 64;
/** As long as this events are kept beyond the limits, so that clients that are behind in a burst need not start over. */
const freshMs = 75_000;

/** A rough size of JSON data in memory. */
function sizeOf(value: Json | undefined): number {
  if (typeof value === 'string') return 24 + value.length;
  if (Array.isArray(value)) return (value as Json[]).reduce<number>((sum, v) => sum + sizeOf(v), 32);
  if (!isObject(value)) return 8;
  let sum = 48;
  for (const key of Object.keys(value)) sum += 16 + key.length + sizeOf(value[key]);
  return sum;
}

interface Entry {
  readonly event: StoreEvent;
  readonly atMs: number;
  readonly bytes: number;
}

/** The latest changes of one resource, oldest first, bounded in number and size; more of them while they are fresh. */
export class History {
  readonly #limits: HistoryLimits;
  #entries: Entry[] = [];
  #bytes = 0;
  #start: number;

  /** @param start everything after this revision will be here. */
  constructor(limits: HistoryLimits, start: number) {
    this.#limits = limits;
    this.#start = start;
  }

  /** Forgets everything up to a revision. */
  reset(start: number): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#start = start;
  }

  add(event: StoreEvent): void {
    // The previous state is shared with an earlier entry more often than not.
    const bytes = sizeOf(event.object);
    const atMs = performance.now();
    this.#entries.push({ event, bytes, atMs });
    this.#bytes += bytes;
    this.#trim(this.#limits.burst, Number.POSITIVE_INFINITY);
    this.#trim(1, atMs - freshMs);
  }

  /** Drops the oldest entries beyond a multiple of the limits, as far as they are from before a time. */
  #trim(factor: number, beforeMs: number): void {
    const eventsMax = this.#limits.events * factor;
    const bytesMax = this.#limits.bytes * factor;
    const count = this.#entries.length;
    const isLong = count > eventsMax * 1.25;
    const isLarge = this.#bytes > bytesMax && count > eventsMin;
    if (!isLong && !isLarge) return;
    // In batches: shifting one by one would copy the array on every change.
    const batch = this.#entries[Math.floor(Math.min(count, eventsMax) / 8)];
    if (batch === undefined || batch.atMs > beforeMs) return;
    let cut = 0;
    let left = this.#bytes;
    for (const { bytes, atMs } of this.#entries) {
      const isTooMany = isLong && count - cut > eventsMax;
      const isTooMuch = isLarge && left > bytesMax * 0.75 && count - cut > eventsMin;
      if ((!isTooMany && !isTooMuch) || atMs > beforeMs) break;
      left -= bytes;
      cut++;
    }
    this.#drop(cut);
  }

  #drop(count: number): void {
    const gone = this.#entries.slice(0, count);
    this.#start = gone.at(-1)?.event.revision ?? this.#start;
    for (const { bytes } of gone) this.#bytes -= bytes;
    this.#entries = this.#entries.slice(count);
  }

  /** Changes after a revision, oldest first; undefined when some of them are forgotten. */
  since(revision: number): readonly StoreEvent[] | undefined {
    if (revision < this.#start) return undefined;
    return this.#entries.slice(this.#indexAfter(revision)).map(({ event }) => event);
  }

  /** The first change after a revision; 'none' when there is none yet, 'forgotten' when it may be forgotten. */
  next(revision: number): StoreEvent | 'none' | 'forgotten' {
    if (revision < this.#start) return 'forgotten';
    return this.#entries[this.#indexAfter(revision)]?.event ?? 'none';
  }

  #indexAfter(revision: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((this.#entries[mid]?.event.revision ?? 0) > revision) high = mid;
      else low = mid + 1;
    }
    return low;
  }
}
