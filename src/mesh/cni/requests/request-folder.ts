import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { CniAnswer } from './cni-answers.js';

export interface RequestFolderOptions {
  /** Shared with the plugin; made here, for root only. */
  readonly dir: string;
  /** Answers the text of a request. Never rejects. */
  readonly answer: (text: string) => Promise<CniAnswer>;
  readonly log: Logger;
}

/** A request is a configuration of at most 1 MiB, and the variables before it. */
const requestMaxBytes = 1_048_576 + 65_536;
/** The lease ends this long after the last sign of life: the event loop of a busy agent may be late. */
const leaseMs = 8_000;
const tickMs = 1_000;
/** Leftovers of a plugin that was killed are removed when they are this old. */
const leftoverMs = 60_000;
/** A line is written whole or not at all up to PIPE_BUF, 4096 bytes. */
const lineMaxBytes = 2_048;
/** The plugin reads at once; one that was stopped must not keep its answer for ever. */
const answerMaxMs = 10_000;
const answerPauseMs = 10;
const folderMode = 0o700;

/**
 * Where the plugin lays down what container runtimes ask, and gets its answers (the layout stands at the top of
 * plugin/istio-cni.sh). The plugin needs nothing but files for it. A request that an agent did not answer is
 * there for the next one, and for as long as an agent lives its lease says so.
 */
export class RequestFolder {
  readonly #o: RequestFolderOptions;
  readonly #requests: string;
  readonly #lease: string;
  readonly #active = new Set<string>();

  constructor(options: RequestFolderOptions) {
    this.#o = options;
    this.#requests = join(options.dir, 'requests');
    this.#lease = join(options.dir, 'lease');
  }

  /** Serves until the signal aborts; then the lease ends, and requests under way are left to the next agent. */
  async serve(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#requests, { recursive: true, mode: folderMode });
    const watcher = watch(this.#requests, () => this.#scan(signal));
    watcher.on('error', (error) => this.#o.log.warn('requests are polled', { error: messageOf(error) }));
    try {
      while (!signal.aborted) {
        this.#renewLease();
        // Also what the kernel did not tell of, and what came before the watch.
        this.#scan(signal);
        this.#removeLeftovers();
        await delay(tickMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      watcher.close();
      rmSync(this.#lease, { force: true });
    }
  }

  #renewLease(): void {
    try {
      if (!existsSync(this.#lease)) writeFileSync(this.#lease, '');
      const end = new Date(Date.now() + leaseMs);
      utimesSync(this.#lease, end, end);
    } catch (error) {
      this.#o.log.warn('the lease could not be renewed', { error: messageOf(error) });
    }
  }

  #scan(signal: AbortSignal): void {
    if (signal.aborted) return;
    for (const name of this.#names()) {
      const id = /^([0-9]+)\.ready$/.exec(name)?.[1];
      if (id === undefined || this.#active.has(id)) continue;
      this.#active.add(id);
      this.#serveOne(id, signal)
        .catch((error: unknown) =>
          this.#o.log.warn('a request of the plugin could not be served', { id, error: messageOf(error) }),
        )
        .finally(() => this.#active.delete(id));
    }
  }

  async #serveOne(id: string, signal: AbortSignal): Promise<void> {
    const fd = openAnswer(this.#path(id, 'answer'));
    const text = readRequest(this.#path(id, 'request'));
    if (fd === undefined || text === undefined) {
      // The plugin is gone, or it never was one.
      if (fd !== undefined) closeSync(fd);
      this.#remove(id);
      return;
    }
    const stop = new AbortController();
    const signs = signOfLife(fd, AbortSignal.any([stop.signal, signal]));
    try {
      const answer = await this.#o.answer(text);
      stop.abort();
      await signs;
      // With the agent on its way out the plugin asks the next one: what it was told might not last.
      if (signal.aborted) return;
      await writeAnswer(fd, answer);
      this.#remove(id);
    } finally {
      stop.abort();
      await signs;
      closeSync(fd);
    }
  }

  #removeLeftovers(): void {
    const before = Date.now() - leftoverMs;
    for (const name of this.#names()) {
      const id = name.split('.')[0] ?? '';
      if (this.#active.has(id)) continue;
      const path = join(this.#requests, name);
      const modifiedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
      if (modifiedMs !== undefined && modifiedMs < before) rmSync(path, { force: true });
    }
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#requests);
    } catch {
      // Taken away by a cleanup.
      return [];
    }
  }

  #path(id: string, part: 'ready' | 'request' | 'answer'): string {
    return join(this.#requests, `${id}.${part}`);
  }

  #remove(id: string): void {
    for (const part of ['ready', 'request', 'answer'] as const) rmSync(this.#path(id, part), { force: true });
  }
}

/** Opens a plugin's end for writing; undefined when nobody reads there. */
function openAnswer(path: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  if (fstatSync(fd).isFIFO()) return fd;
  closeSync(fd);
  return undefined;
}

function readRequest(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const facts = fstatSync(fd);
    return facts.isFile() && facts.size <= requestMaxBytes ? readFileSync(fd, 'utf8') : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Tells the plugin every second, from now on, that its request is being worked on. */
async function signOfLife(fd: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // Nobody who reads, or a plugin that is stopped: the answer will find out.
    tryWrite(fd, Buffer.from('.\n'));
    await delay(tickMs, undefined, { signal }).catch(() => undefined);
  }
}

async function writeAnswer(fd: number, { exitCode, text }: CniAnswer): Promise<void> {
  const deadline = performance.now() + answerMaxMs;
  const bytes = Buffer.from(text);
  const lines: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += lineMaxBytes)
    lines.push(Buffer.concat([Buffer.from('+'), bytes.subarray(at, at + lineMaxBytes), Buffer.from('\n')]));
  for (const line of [...lines, Buffer.from(`=${exitCode}\n`)]) {
    for (;;) {
      const outcome = tryWrite(fd, line);
      if (outcome === 'gone') return;
      if (outcome === 'written') break;
      if (performance.now() > deadline) throw new Error('the plugin does not read its answer');
      await delay(answerPauseMs);
    }
  }
}

function tryWrite(fd: number, line: Buffer): 'written' | 'full' | 'gone' {
  try {
    writeSync(fd, line);
    return 'written';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 'full' : 'gone';
  }
}
