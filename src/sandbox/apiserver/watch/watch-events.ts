import { ApiError, apiError } from '../http/api-error.js';
import { revisionOf } from '../http/list-options.js';
import type { KubeObject } from '../object.js';
import { preparePresent, present } from '../registry/present.js';
import type { Store, StoreEvent } from '../storage/store.js';
import { type FrameOptions, frame, WatchFrames } from './watch-frames.js';

const bookmarkIntervalMs = 30_000;
const defaultTimeoutSeconds = 1800;
const timerMaxMs = 2 ** 31 - 1;
/** A watcher that falls this many events behind is cut; it resumes from its last revision. */
const backlogMax = 10_000;

/** What a watch shows and from where. */
export interface WatchOptions extends FrameOptions {
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
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

/** How a watch ended: in good order, or because the client read too slowly. */
export type WatchEnd = 'done' | 'too-slow';

/** A watch ready to run; options were checked. */
export interface WatchRun {
  /** Serves the watch until the signal aborts, its time is up, or the client falls too far behind. */
  run(sink: WatchSink, signal: AbortSignal): Promise<WatchEnd>;
}

/** Prepares a watch. Throws 400 for a malformed revision. */
export function watchEvents(store: Store, options: WatchOptions): WatchRun {
  const { resourceVersion } = options;
  const from = resourceVersion === '' || resourceVersion === '0' ? undefined : revisionOf(resourceVersion);
  return { run: (sink, signal) => new Watch(store, options, from, sink).run(signal) };
}

type Pending = StoreEvent | { readonly initial: KubeObject } | { readonly bookmark: number };

/**
 * One running watch: replayed history or existing objects first, then changes
 * as they commit. What the client has not read yet is kept as references to
 * stored objects, not as text.
 */
class Watch {
  readonly #store: Store;
  readonly #options: WatchOptions;
  readonly #from: number | undefined;
  readonly #sink: WatchSink;
  readonly #frames: WatchFrames;
  #backlog: Pending[] = [];
  #isPumping = false;
  #isInitial = true;
  #end: WatchEnd | undefined;
  #finish: () => void = () => undefined;

  constructor(store: Store, options: WatchOptions, from: number | undefined, sink: WatchSink) {
    this.#store = store;
    this.#options = options;
    this.#from = from;
    this.#sink = sink;
    this.#frames = new WatchFrames(options);
  }

  async run(signal: AbortSignal): Promise<WatchEnd> {
    const { resource, sendInitialEvents, allowsBookmarks, timeoutSeconds } = this.#options;
    const isFromStart = sendInitialEvents ?? this.#from === undefined;
    const replay =
      isFromStart || this.#from === undefined ? [] : this.#store.since(resource.storage, this.#from);
    if (replay === undefined) {
      const message = `too old resource version: ${this.#from} (${this.#store.revision})`;
      this.#sink.write(frame('ERROR', apiError.expired(message).toStatus()));
      return 'done';
    }
    if (isFromStart && this.#from !== undefined && this.#from > this.#store.revision) {
      const error = apiError.revisionTooLarge(this.#from, this.#store.revision);
      this.#sink.write(frame('ERROR', error.toStatus()));
      return 'done';
    }
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    const stop = (): void => this.#stop('done');
    const unsubscribe = this.#store.subscribe(resource.storage, (event) => this.#push(event));
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
      if (signal.aborted) return 'done';
      if (isFromStart) this.#pushExisting();
      else this.#backlog.push(...replay);
      this.#isInitial = false;
      void this.#pump();
      await finished;
      return this.#end ?? 'done';
    } finally {
      unsubscribe();
      clearTimeout(timeout);
      clearInterval(bookmarks);
      signal.removeEventListener('abort', stop);
      this.#backlog = [];
    }
  }

  #pushExisting(): void {
    const { resource, namespace, sendInitialEvents, allowsBookmarks } = this.#options;
    for (const initial of this.#store.list(resource.storage, namespace)) this.#backlog.push({ initial });
    if (sendInitialEvents === true && allowsBookmarks) this.#backlog.push({ bookmark: this.#store.revision });
  }

  #stop(end: WatchEnd): void {
    this.#end ??= end;
    this.#finish();
  }

  #push(event: StoreEvent): void {
    if (this.#end !== undefined) return;
    this.#backlog.push(event);
    if (this.#isPumping && this.#backlog.length > backlogMax) this.#stop('too-slow');
    else if (!this.#isInitial) void this.#pump();
  }

  /** Writes the backlog as fast as the client reads. Runs without a pause while the client keeps up. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    let at = 0;
    try {
      for (; at < this.#backlog.length && this.#end === undefined; at++) {
        const pending = this.#backlog[at];
        if (pending !== undefined && this.#options.resource.conversion !== undefined)
          await this.#prepare(pending);
        const bytes = pending === undefined ? undefined : this.#frameOf(pending);
        if (bytes === undefined || this.#sink.write(bytes)) continue;
        // What was written need not be kept while waiting.
        this.#backlog.splice(0, at + 1);
        at = -1;
        await this.#sink.drained();
      }
      this.#backlog.splice(0, at);
    } catch {
      // The client is gone; the signal ends the watch.
      this.#stop('done');
    } finally {
      this.#isPumping = false;
    }
  }

  /** Has a webhook convert what is to be shown; a watch cannot go on without. */
  async #prepare(pending: Pending): Promise<void> {
    if ('bookmark' in pending) return;
    const objects = 'initial' in pending ? [pending.initial] : [pending.object, pending.previous];
    try {
      await preparePresent(
        objects.filter((o) => o !== undefined),
        this.#options.resource,
      );
    } catch (error) {
      if (error instanceof ApiError) this.#sink.write(frame('ERROR', error.toStatus()));
      throw error;
    }
  }

  #frameOf(pending: Pending): Buffer | undefined {
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
    if (this.#end !== undefined || this.#isPumping || this.#backlog.length > 0) return;
    this.#sink.write(this.#frames.bookmark(this.#store.revision, { endsInitialEvents: false }));
  }
}

/** Spread out, so that watches that began together do not all begin anew together. */
function defaultTimeoutMs(): number {
  return (1 + Math.random()) * defaultTimeoutSeconds * 1000;
}
