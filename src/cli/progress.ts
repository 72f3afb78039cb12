import type { Ora } from 'ora';
import { formatDuration } from './duration.js';
import type { Io } from './io.js';
import { wrapProse } from './prose.js';
import { widthOf } from './width.js';

/** One piece of long work, such as a component being rolled out. Ends exactly once. */
export interface Step {
  /** What it is waiting for now. */
  update(text: string): void;
  succeed(text?: string): void;
  fail(text?: string): void;
}

/** Long work told to the person on stderr: animated on a terminal, plain lines elsewhere, nothing with `--quiet`. */
export interface Progress {
  step(title: string): Step;
  /** A fact worth a line, such as an inference. */
  info(text: string): void;
  /** Shown also with `--quiet`. */
  warn(text: string): void;
  /** Stops the animation; further lines are plain. */
  close(): void;
}

interface RunningStep {
  readonly title: string;
  readonly startedAt: number;
  detail: string;
}

/** The reporter of this invocation. `now` is in milliseconds. */
export function makeProgress(io: Io, options: { isQuiet: boolean; now: () => number }): Progress {
  const running = new Set<RunningStep>();
  const spinner = options.isQuiet || !io.isInteractive ? undefined : new Spinner(running, options.now);
  const print = (line: string): void => {
    spinner?.pause();
    const lines = line
      .split('\n')
      .map((text) => wrapProse(text, widthOf(io.isInteractive, io), { hanging: 2 }));
    io.stderr(`${lines.join('\n')}\n`);
    spinner?.resume();
  };
  return {
    step(title) {
      const step: RunningStep = { title, startedAt: options.now(), detail: '' };
      running.add(step);
      spinner?.resume();
      let isOver = false;
      const end = (mark: string, text: string | undefined): void => {
        if (isOver) return;
        isOver = true;
        running.delete(step);
        if (options.isQuiet) return;
        print(
          `${mark} ${title}${text === undefined ? '' : `: ${text}`} (${formatDuration(options.now() - step.startedAt)})`,
        );
        if (running.size === 0) spinner?.pause();
      };
      return {
        update(text) {
          if (isOver || text === step.detail) return;
          step.detail = text;
          if (spinner === undefined && !options.isQuiet) io.stderr(`- ${title}: ${text}\n`);
        },
        succeed: (text) => end('✔', text),
        fail: (text) => end('✘', text),
      };
    },
    info(text) {
      if (!options.isQuiet) print(text);
    },
    warn(text) {
      print(`! ${text}`);
    },
    close() {
      running.clear();
      spinner?.pause();
    },
  };
}

/** ora behind an interface that may be paused; loaded when the first step begins. */
class Spinner {
  readonly #running: ReadonlySet<RunningStep>;
  readonly #now: () => number;
  #ora: Ora | undefined;
  #isLoading = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(running: ReadonlySet<RunningStep>, now: () => number) {
    this.#running = running;
    this.#now = now;
  }

  resume(): void {
    if (this.#running.size === 0) return;
    if (this.#ora === undefined) {
      void this.#load();
      return;
    }
    this.#ora.start(this.#text());
    this.#timer ??= setInterval(() => {
      if (this.#ora !== undefined) this.#ora.text = this.#text();
    }, 200).unref();
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#ora?.stop();
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    const { default: ora } = await import('ora');
    this.#ora = ora({ stream: process.stderr, discardStdin: false });
    this.resume();
  }

  #text(): string {
    return [...this.#running]
      .map(
        (s) =>
          `${s.title}${s.detail === '' ? '' : `: ${s.detail}`} ${formatDuration(this.#now() - s.startedAt)}`,
      )
      .join(' · ');
  }
}
