import { ApiError, apiError } from '../api-error.js';
import { revisionOf } from '../http/list-options.js';
import { protobufType } from '../http/negotiation.js';
import type { ApiObject } from '../object.js';
import { preparePresent, present } from '../registry/present.js';
import type { Store } from '../storage/store.js';
import { type FrameOptions, WatchFrames } from './watch-frames.js';
import type { StoreEvent } from '../storage/store-event.js';

const bookmarkIntervalMs = 30_000;
const defaultTimeoutSeconds = 1800;
const timerMaxMs = 2 ** 31 - 1;

/** What a watch shows and from where. */
export interface WatchOptions extends FrameOptions {
  readonly namespace: string | undefined;
  readonly matches: (object: ApiObject) => boolean;
  /** '' or '0': begin with what exists. */
  readonly resourceVersion: string;
  readonly sendInitialEvents: boolean | undefined;
  readonly allowsBookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
}

/** Takes the frames of a watch to its client. */
export interface WatchSink {
  /** False when the client is behind: wait for `drained` before the next frame. */
  write(frame: Buffer): boolean;
  drained(): Promise<void>;
}

/** A watch ready to run; options were checked. */
export interface WatchRun {
  /** The media type of its frames as a stream. */
  readonly contentType: string;
  /** Serves the watch until the signal aborts, its time is up, or the client is so far behind that changes are forgotten. */
  run(sink: WatchSink, signal: AbortSignal): Promise<void>;
}

/** Prepares a watch. Throws 400 for a malformed revision. */
export function watchEvents(store: Store, options: WatchOptions): WatchRun {
  const { resourceVersion } = options;
  const from = resourceVersion === '' || resourceVersion === '0' ? undefined : revisionOf(resourceVersion);
  return {
    contentType:
      options.accepted.serializer === 'protobuf' ? `${protobufType};stream=watch` : 'application/json',
    run: (sink, signal) => new Watch(store, options, from, sink).run(signal),
  };
}

/** What there is to show: a change, an object that existed when the watch began, or that these are all told. */
type Shown = StoreEvent | { readonly initial: ApiObject } | { readonly bookmark: number };

/**
 * One running watch: existing objects first, if asked for, then changes in their
 * order. It keeps no changes itself but the revision up to which its client was
 * told, and reads on in the store's window of past changes. A client that reads
 * so slowly that the window moved on is told to start over: it misses nothing
 * without knowing.
 */
class Watch {
  readonly #store: Store;
  readonly #options: WatchOptions;
  readonly #from: number | undefined;
  readonly #sink: WatchSink;
  readonly #frames: WatchFrames;
  /** Existing objects still to be shown, the next one last. */
  #initial: Exclude<Shown, StoreEvent>[] = [];
  #position = 0;
  #isPumping = false;
  #hasEnded = false;
  #finish: () => void = () => undefined;

  constructor(store: Store, options: WatchOptions, from: number | undefined, sink: WatchSink) {
    this.#store = store;
    this.#options = options;
    this.#from = from;
    this.#sink = sink;
    this.#frames = new WatchFrames(options);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { resource, namespace, sendInitialEvents, allowsBookmarks, timeoutSeconds } = this.#options;
    const isFromStart = sendInitialEvents ?? this.#from === undefined;
    const { revision } = this.#store;
    if (isFromStart && this.#from !== undefined && this.#from > revision) {
      this.#sink.write(this.#frames.error(apiError.revisionTooLarge(this.#from, revision)));
      return;
    }
    if (signal.aborted) return;
    this.#position = isFromStart ? revision : (this.#from ?? revision);
    if (isFromStart) {
      const existing = this.#store.list(resource.storage, namespace).map((initial) => ({ initial }));
      const isEndTold = sendInitialEvents === true && allowsBookmarks;
      this.#initial = [...existing, ...(isEndTold ? [{ bookmark: revision }] : [])].reverse();
    }
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    const stop = (): void => this.#stop();
    const unsubscribe = this.#store.subscribe(resource.storage, () => void this.#pump());
    signal.addEventListener('abort', stop, { once: true });
    const timeoutMs = (timeoutSeconds ?? 0) > 0 ? (timeoutSeconds ?? 0) * 1000 : defaultTimeoutMs();
    const timeout = setTimeout(
      () => {
        if (allowsBookmarks) this.#bookmark();
        stop();
      },
      Math.min(timeoutMs, timerMaxMs),
    );
    const bookmarks = allowsBookmarks ? setInterval(() => this.#bookmark(), bookmarkIntervalMs) : undefined;
    try {
      void this.#pump();
      await finished;
    } finally {
      unsubscribe();
      clearTimeout(timeout);
      clearInterval(bookmarks);
      signal.removeEventListener('abort', stop);
      this.#initial = [];
    }
  }

  #stop(): void {
    this.#hasEnded = true;
    this.#finish();
  }

  /** Writes what there is as fast as the client reads. Runs without a pause while the client keeps up. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (!this.#hasEnded) {
        const next = this.#next();
        if (next === 'none') return;
        if (next === 'forgotten') {
          const message = `too old resource version: ${this.#position} (${this.#store.revision})`;
          this.#sink.write(this.#frames.error(apiError.expired(message)));
          this.#stop();
          return;
        }
        if (this.#options.resource.conversion !== undefined) await this.#prepare(next);
        const bytes = this.#frameOf(next);
        if (bytes !== undefined && !this.#sink.write(bytes)) await this.#sink.drained();
      }
    } catch {
      // The client is gone; the signal ends the watch.
      this.#stop();
    } finally {
      this.#isPumping = false;
    }
  }

  #next(): Shown | 'none' | 'forgotten' {
    const existing = this.#initial.pop();
    if (existing !== undefined) return existing;
    const next = this.#store.next(this.#options.resource.storage, this.#position);
    if (typeof next === 'object') this.#position = next.revision;
    return next;
  }

  /** Has a webhook convert what is to be shown; a watch cannot go on without. */
  async #prepare(shown: Shown): Promise<void> {
    if ('bookmark' in shown) return;
    const objects = 'initial' in shown ? [shown.initial] : [shown.object, shown.previous];
    try {
      await preparePresent(
        objects.filter((o) => o !== undefined),
        this.#options.resource,
      );
    } catch (error) {
      if (error instanceof ApiError) this.#sink.write(this.#frames.error(error));
      throw error;
    }
  }

  #frameOf(pending: Shown): Buffer | undefined {
    const { namespace, resource, matches } = this.#options;
    if ('bookmark' in pending) return this.#frames.bookmark(pending.bookmark, { endsInitialEvents: true });
    if ('initial' in pending) {
      const shown = present(pending.initial, resource);
      return matches(shown) ? this.#frames.object('ADDED', shown) : undefined;
    }
    if (namespace !== undefined && pending.object.metadata.namespace !== namespace) return undefined;
    const now = present(pending.object, resource);
    const isMatch = matches(now);
    const wasMatch = pending.previous !== undefined && matches(present(pending.previous, resource));
    // A selector turns changes of membership into additions and deletions.
    if (pending.type === 'DELETED') return wasMatch ? this.#frames.object('DELETED', now) : undefined;
    if (isMatch) return this.#frames.object(wasMatch ? 'MODIFIED' : 'ADDED', now);
    return wasMatch ? this.#frames.object('DELETED', now) : undefined;
  }

  #bookmark(): void {
    // With changes still unsent the revision would promise too much.
    if (this.#hasEnded || this.#isPumping) return;
    this.#sink.write(this.#frames.bookmark(this.#store.revision, { endsInitialEvents: false }));
  }
}

/** Spread out, so that watches that began together do not all begin anew together. */
function defaultTimeoutMs(): number {
  return (1 + Math.random()) * defaultTimeoutSeconds * 1000;
}
