import { MeshError } from '#base/errors/mesh-error.js';

export interface CommandTimeOptions {
  /** Milliseconds. */
  readonly timeoutMs: number;
  /** Several waits of the command may take this long each, because its user set no limit to the whole. */
  readonly isPerWait: boolean;
  /** It goes on until it is stopped, as with `--watch`. */
  readonly isEndless: boolean;
  /** Ctrl-C and SIGTERM. */
  readonly interrupt: AbortSignal;
}

/** For saying what was missing when the time is over. */
const lastWordsMs = 3_000;
const waitsMax = 3;

/** The time of one command: what its requests and waits go by, and the end of it when nothing else ends it. */
export class CommandTime {
  readonly timeoutMs: number;
  /** Aborted by an interrupt, and when the command is given up. */
  readonly signal: AbortSignal;
  readonly #end = new AbortController();
  readonly #isEndless: boolean;
  readonly #over = makeOver();
  #deadlineMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isDone = false;

  constructor(o: CommandTimeOptions) {
    this.timeoutMs = o.timeoutMs;
    this.signal = AbortSignal.any([o.interrupt, this.#end.signal]);
    this.#isEndless = o.isEndless;
    this.#deadlineMs = performance.now() + o.timeoutMs * (o.isPerWait ? waitsMax : 1);
  }

  /** By performance.now; undefined: none. */
  get deadlineMs(): number | undefined {
    return this.#isEndless ? undefined : this.#deadlineMs;
  }

  /** Time in which a person thinks does not count. */
  async whileAsking<T>(question: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const before = this.#deadlineMs;
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    try {
      return await question();
    } finally {
      this.#deadlineMs = before + performance.now() - startedMs;
    }
  }

  /** From now on the end is near: the command talks to a cluster. What runs on this machine ends as it likes. */
  begin(): void {
    if (!this.#isEndless) this.#timer ??= this.#look();
  }

  /** The result of the command, or MESH0107 when it does not end in time. */
  async bound<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#over.promise]);
    } catch (error) {
      work.catch(() => undefined);
      throw error;
    } finally {
      clearTimeout(this.#timer);
      this.#isDone = true;
    }
  }

  /** Looks again when the time would be over: it grows while a person thinks. */
  #look(): NodeJS.Timeout | undefined {
    if (this.#isDone) return undefined;
    const left = this.#deadlineMs + lastWordsMs - performance.now();
    if (left > 0) {
      return setTimeout(
        () => {
          this.#timer = this.#look();
        },
        Math.min(left, this.timeoutMs),
      );
    }
    this.#over.reject(
      new MeshError('MESH0107', `the command did not end within ${Math.round(this.timeoutMs / 1000)} s`),
    );
    this.#end.abort();
    return undefined;
  }
}

interface Over {
  readonly promise: Promise<never>;
  readonly reject: (error: MeshError) => void;
}

function makeOver(): Over {
  let reject: Over['reject'] = () => undefined;
  const promise = new Promise<never>((_, fail) => {
    reject = fail;
  });
  // Nobody may be listening: the command can end first.
  promise.catch(() => undefined);
  return { promise, reject };
}
