import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeHost } from '../host/node-host.js';
import {
  childrenOf,
  executableOf,
  exitCodeOfSignal,
  mountNamespaceOf,
  processesIn,
  signalProcess,
} from '../host/process-tree.js';
import { stopSignal } from './stop-signal.js';
import { type ContainerConfig, optionsFd, seccompFd, startCommand } from './container-config.js';
import { isOnTheWay } from './helper-programs.js';
import type { LogFile } from './log-file.js';
import { spawnOnTerminal, type TerminalStream } from './terminal-stream.js';

/** How a container ended. */
export interface ContainerExit {
  readonly exitCode: number;
  /** Set when the container's program could not be started at all. */
  readonly startError: string | undefined;
  readonly finishedAt: Date;
}

const startTimeoutMs = 10_000;
/** Looked at often at first, for a start takes milliseconds; less often on a busy machine, where it does not. */
const startPollMs = { first: 2, max: 30, growth: 1.3 };
/** An orphan may hold the output open. */
const outputDelayMaxMs = 500;
const diagnosticMaxBytes = 4096;
/** Exit code of an instance whose program could not be started. */
const startErrorCode = 128;

/**
 * One container instance: running from construction until {@link exited} resolves.
 * It owns the process below the node's namespaces and feeds its output to the log.
 */
export class RunningContainer extends EventEmitter<{ output: [stream: 'stdout' | 'stderr', data: Buffer] }> {
  readonly config: ContainerConfig;
  readonly log: LogFile;
  readonly startedAt = new Date();
  readonly exited: Promise<ContainerExit>;
  /** The container's standard input, when it asked for one. */
  readonly stdin: Writable | undefined;
  exit: ContainerExit | undefined;
  readonly #process: ChildProcess;
  readonly #terminal: TerminalStream | undefined;
  #initPid: number | undefined;
  #mountNamespace: string | undefined;

  private constructor(
    config: ContainerConfig,
    log: LogFile,
    { child, terminal }: { child: ChildProcess; terminal: TerminalStream | undefined },
  ) {
    super();
    this.setMaxListeners(0); // one per attached client
    this.config = config;
    this.log = log;
    this.stdin = terminal?.stream ?? child.stdin ?? undefined;
    this.stdin?.on('error', () => undefined); // the process closed its end; writers learn from `exited`
    this.#process = child;
    this.#terminal = terminal;
    const stdout = this.#tap('stdout', terminal?.stream ?? child.stdout);
    const diagnostic = terminal === undefined ? this.#tap('stderr', child.stderr) : stdout;
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(this.#ended(startErrorCode, error.message)));
      child.once('exit', (code, signal) => {
        this.#killLeftovers();
        const exitCode = code ?? exitCodeOfSignal(signal);
        void this.#startErrorOf(exitCode, diagnostic).then((startError) =>
          resolve(this.#ended(startError === undefined ? exitCode : startErrorCode, startError)),
        );
      });
    });
  }

  /** Starts the process and waits until the container's own program runs (or has already ended). */
  static async start(
    host: NodeHost,
    config: ContainerConfig,
    { log, hasStdin }: { log: LogFile; hasStdin: boolean },
  ): Promise<RunningContainer> {
    const { namespaces, pidNamespace } = config;
    const { line, env, options, seccompFilter } = startCommand(config);
    const [file, args] = host.command(line, {
      netns: namespaces.net,
      ipc: namespaces.ipc,
      uts: namespaces.uts,
      pidOf: typeof pidNamespace === 'number' ? pidNamespace : undefined,
    });
    let terminal: TerminalStream | undefined;
    let child: ChildProcess;
    const pipes = seccompFilter === undefined ? 1 : 2;
    if (config.hasTerminal) ({ child, terminal } = spawnOnTerminal(file, args, { env, pipes }));
    else {
      const stdio = [
        hasStdin ? 'pipe' : 'ignore',
        ...Array.from({ length: 2 + pipes }, () => 'pipe' as const),
      ];
      child = spawn(file, args, { stdio: stdio as StdioOptions, env });
    }
    hand(child.stdio[optionsFd], options.map((option) => `${option}\0`).join(''));
    if (seccompFilter !== undefined) hand(child.stdio[seccompFd], seccompFilter);
    const container = new RunningContainer(config, log, { child, terminal });
    await container.#awaitProgram();
    return container;
  }

  /** Sets the size of the container's terminal; without one, nothing. */
  resize(size: { columns: number; rows: number }): void {
    if (this.isRunning) this.#terminal?.resize(size);
  }

  get isRunning(): boolean {
    return this.exit === undefined;
  }

  /** The container's pid 1 as the supervisor sees it; undefined when it is not (or no longer) running. */
  get initPid(): number | undefined {
    return this.isRunning ? this.#initPid : undefined;
  }

  /** Signals the container's pid 1; false when it is gone. */
  signal(signal: NodeJS.Signals): boolean {
    if (!this.isRunning) return false;
    if (this.#initPid !== undefined) return signalProcess(this.#initPid, signal);
    return this.#process.kill('SIGKILL');
  }

  /** Asks to end, waits for the grace period, then kills. */
  async stop(graceMs: number): Promise<ContainerExit> {
    if (graceMs > 0) {
      this.signal(stopSignal(this.config.image.config.stopSignal));
      const timer = new AbortController();
      await Promise.race([
        this.exited,
        delay(graceMs, undefined, { signal: timer.signal }).catch(() => undefined), // ended in time
      ]);
      timer.abort();
    }
    this.signal('SIGKILL');
    return this.exited;
  }

  /**
   * What outlives the process we watched: children in a shared pid namespace, and a pid 1
   * whose bubblewrap parent was killed. A mount namespace is the container's alone.
   */
  #killLeftovers(): void {
    const own = this.#mountNamespace;
    if (own === undefined || this.#initPid === undefined) return;
    const left =
      this.config.pidNamespace !== 'own'
        ? processesIn(own)
        : mountNamespaceOf(this.#initPid) === own
          ? [this.#initPid]
          : [];
    for (const pid of left) signalProcess(pid, 'SIGKILL');
  }

  /** Why the program did not start; undefined when it did. What was said of it may arrive after the end. */
  async #startErrorOf(exitCode: number, diagnostic: () => string): Promise<string | undefined> {
    if (this.#initPid !== undefined || exitCode === 0) return undefined;
    const said = startErrorText(diagnostic());
    if (said !== undefined) return said;
    await Promise.race([once(this.#process, 'close'), delay(outputDelayMaxMs, undefined, { ref: false })]);
    return startErrorText(diagnostic());
  }

  #ended(exitCode: number, startError: string | undefined): ContainerExit {
    this.exit ??= { exitCode, startError, finishedAt: new Date() };
    return this.exit;
  }

  /** Sends a stream to the log and to whoever is attached; returns a reader of its first bytes. */
  #tap(stream: 'stdout' | 'stderr', source: Readable | null): () => string {
    let head = '';
    if (source === null) return () => head;
    const copy = new PassThrough();
    source.on('data', (data: Buffer) => {
      if (head.length < diagnosticMaxBytes) head += data.toString().slice(0, diagnosticMaxBytes);
      this.emit('output', stream, data);
      if (!copy.write(data)) {
        source.pause();
        copy.once('drain', () => source.resume());
      }
    });
    source.once('close', () => copy.end());
    this.log.consume(stream, copy);
    return () => head;
  }

  /** nsenter -> bwrap or unshare -> the program: follows the chain until it has been handed over to. */
  async #awaitProgram(): Promise<void> {
    const deadline = Date.now() + startTimeoutMs;
    let pollMs = startPollMs.first;
    while (this.isRunning && Date.now() < deadline) {
      const pid = this.#findProgram();
      if (pid !== undefined) {
        this.#initPid = pid;
        this.#mountNamespace = mountNamespaceOf(pid);
        return;
      }
      await delay(pollMs);
      pollMs = Math.min(pollMs * startPollMs.growth, startPollMs.max);
    }
  }

  #findProgram(): number | undefined {
    const { pid } = this.#process;
    if (pid === undefined) return undefined;
    const [starter] = childrenOf(pid);
    if (starter === undefined) return undefined;
    const [program] = childrenOf(starter);
    if (program === undefined) return undefined;
    const executable = executableOf(program);
    if (executable === undefined || isOnTheWay(executable)) return undefined;
    // A shell may come before it, in the file system of the one who starts it.
    return mountNamespaceOf(program) === mountNamespaceOf(starter) ? undefined : program;
  }
}

function hand(pipe: Readable | Writable | null | undefined, content: string | Buffer): void {
  if (!(pipe instanceof Writable)) return;
  pipe.on('error', () => undefined); // the process ended before it read it, and says so itself
  pipe.end(content);
}

/** What bubblewrap or a helper says of a program it cannot start, in the words of a container runtime. */
function startErrorText(text: string): string | undefined {
  const line = text.split('\n', 1)[0]?.trimEnd() ?? '';
  const exec = /^(?:bwrap: execvp|set(?:priv|sid): failed to execute|\S*\benv:) (.*?): (.*)$/.exec(line);
  if (exec === null) return line.startsWith('bwrap: ') ? line : undefined;
  const [, program = '', reason = ''] = exec;
  const words = reason.startsWith('No such file')
    ? 'executable file not found in $PATH'
    : reason.toLowerCase();
  return `exec: "${program.replace(/^['‘]|['’]$/g, '')}": ${words}`;
}
