import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statfsSync } from 'node:fs';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { lastWords } from './last-words.js';

export interface ProgramOptions {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly folder: string;
  /** Gets the program's output; starts over when it is full. */
  readonly logPath: string;
  readonly logger: Logger;
  /** Called before each start: clears away what a killed run left. */
  readonly prepare?: (() => void) | undefined;
}

const logMaxBytes = 20 * 1024 * 1024;
const logCheckMs = 10_000;
const restartDelays = { firstMs: 100, maxMs: 5_000 } as const;
/** A run this long was a good one: the next restart is quick again. */
const stableMs = 30_000;
/** Ends in a row before there is said to be trouble: one is mended before anybody notices. */
const troubleEnds = 3;
const logTailMaxBytes = 2_000;
/** With less free nothing can be written, not even the reason. */
const roomMinBytes = 64 * 1024;

/**
 * A process that lives no longer than this one, whatever ends this one. Until
 * {@link ChildProgram.keep} is called its end is final; from then on it is started again.
 */
export class ChildProgram {
  readonly #o: ProgramOptions;
  readonly #log: number;
  readonly #logTimer: NodeJS.Timeout;
  #child: ChildProcess | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #restartDelayMs: number = restartDelays.firstMs;
  #startedAt = 0;
  /** Where the log of the current run begins. */
  #logStart = 0;
  /** Ends in a row. */
  #ends = 0;
  /** Why it ended last. */
  #lastEnd = '';
  #isKept = false;
  #isStopping = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ProgramOptions) {
    this.#o = options;
    this.#log = openSync(options.logPath, 'a+', 0o600);
    this.#logTimer = setInterval(() => this.#boundLog(), logCheckMs);
    this.#logTimer.unref();
  }

  get logPath(): string {
    return this.#o.logPath;
  }

  /** Process id of the current run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the current run has ended; `keep` does not change that. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts the program; {@link ChildProgram.ended} tells when it ends. */
  start(): void {
    const { file, args, folder } = this.#o;
    this.#startedAt = Date.now();
    this.#logStart = fstatSync(this.#log).size;
    this.#child = undefined;
    let child: ChildProcess;
    try {
      this.#o.prepare?.();
      // The kernel ends the program when its parent dies, however that happens.
      child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
        cwd: folder,
        stdio: ['ignore', this.#log, this.#log],
      });
    } catch (error) {
      // No memory, or no room for its files: it may be there at the next attempt.
      if (!this.#isKept) throw error;
      this.#onEnd(messageOf(error));
      return;
    }
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    child.once('error', (error) => this.#onEnd(error.message));
    child.once('exit', (code, signal) => this.#onEnd(signal ?? `exit code ${code}`));
  }

  /** From now on the program is started again when it ends. */
  keep(): void {
    this.#isKept = true;
  }

  /** What it said of the reason when it ended, in one line. */
  lastWords(): string {
    return lastWords(this.logTail());
  }

  /** Whether it cannot write its files. */
  isOutOfRoom(): boolean {
    const { bavail, bsize } = statfsSync(this.#o.folder);
    return bavail * bsize < roomMinBytes || /no space left on device/i.test(this.logTail());
  }

  /** What the current run wrote last, for error messages. */
  logTail(): string {
    const { size } = fstatSync(this.#log);
    // A log that was full has started over.
    const from = Math.max(this.#logStart > size ? 0 : this.#logStart, size - logTailMaxBytes);
    const bytes = Buffer.alloc(size - from);
    return bytes.toString('utf8', 0, readSync(this.#log, bytes, 0, bytes.length, from)).trim();
  }

  /** Why it does not run, or not for long; undefined while it runs as it should. */
  trouble(): string | undefined {
    const runs =
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
    if (this.#ends < troubleEnds || (runs && Date.now() - this.#startedAt > stableMs)) return undefined;
    return `${this.#o.name} ended ${this.#ends} times and is started again: ${this.#lastEnd}`;
  }

  /** Asks the program to end, and kills it when it takes too long. Idempotent. */
  async stop(graceMs: number): Promise<void> {
    const isFirst = !this.#isStopping;
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    clearInterval(this.#logTimer);
    const child = this.#child;
    child?.kill('SIGTERM');
    const timer = setTimeout(() => child?.kill('SIGKILL'), graceMs);
    await this.#ended;
    clearTimeout(timer);
    if (isFirst) closeSync(this.#log);
  }

  #onEnd(reason: string): void {
    if (this.#isStopping || !this.#isKept) return;
    if (Date.now() - this.#startedAt > stableMs) {
      this.#restartDelayMs = restartDelays.firstMs;
      this.#ends = 0;
    }
    this.#ends += 1;
    const words = this.isOutOfRoom() ? 'the disk is full' : this.lastWords();
    this.#lastEnd = words === '' ? reason : `${reason}, ${words}`;
    this.#o.logger.error(`${this.#o.name} ended and is started again`, {
      reason: this.#lastEnd,
      log: this.#o.logPath,
      afterMs: this.#restartDelayMs,
    });
    this.#restartTimer = setTimeout(() => this.start(), this.#restartDelayMs);
    this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, restartDelays.maxMs);
  }

  #boundLog(): void {
    if (fstatSync(this.#log).size > logMaxBytes) ftruncateSync(this.#log, 0);
  }
}
