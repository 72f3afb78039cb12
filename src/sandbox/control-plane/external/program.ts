import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import type { Logger } from '../../../telemetry/log.js';

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
const logTailMaxChars = 2_000;
const lastWordsMaxChars = 300;

/**
 * A process that lives no longer than this one, whatever ends this one. Until
 * {@link Program.keep} is called its end is final; from then on it is started again.
 */
export class Program {
  readonly #o: ProgramOptions;
  readonly #log: number;
  readonly #logTimer: NodeJS.Timeout;
  #child: ChildProcess | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #restartDelayMs: number = restartDelays.firstMs;
  #startedAt = 0;
  #isKept = false;
  #isStopping = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ProgramOptions) {
    this.#o = options;
    this.#log = openSync(options.logPath, 'a+', 0o600);
    this.#logTimer = setInterval(() => this.#boundLog(), logCheckMs);
    this.#logTimer.unref();
  }

  /** Process id of the current run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the current run has ended; `keep` does not change that. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts the program; {@link Program.ended} tells when it ends. */
  start(): void {
    const { file, args, folder } = this.#o;
    this.#startedAt = Date.now();
    this.#o.prepare?.();
    // The kernel ends the program when its parent dies, however that happens.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
      cwd: folder,
      stdio: ['ignore', this.#log, this.#log],
    });
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

  /** The last line it wrote, for messages that have room for one. */
  lastWords(): string {
    const line =
      this.logTail()
        .split('\n')
        .findLast((l) => l.trim() !== '') ?? '';
    return line.slice(0, lastWordsMaxChars);
  }

  /** What the program wrote last, for error messages. */
  logTail(): string {
    try {
      return readFileSync(this.#o.logPath, 'utf8').slice(-logTailMaxChars).trim();
    } catch {
      return '';
    }
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
    if (Date.now() - this.#startedAt > stableMs) this.#restartDelayMs = restartDelays.firstMs;
    this.#o.logger.error(`${this.#o.name} ended and is started again`, {
      reason,
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
