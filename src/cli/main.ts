import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { CommandResult } from './command.js';
import type { CommandContext, KubeConnection } from './context.js';
import type { Progress } from './progress.js';
import { processIo, type Io } from './io.js';
import { commandHelp } from './command-help.js';
import { describedWordsAfter, groupHelp } from './help.js';
import { resolveCommand } from './resolve-command.js';
import { exitCode } from './exit-code.js';
import { widthOf } from './width.js';

const defaultTimeoutMs = 30_000;
/** What is still open when a command is done may take this long to end by itself. */
const lingerMs = 200;

/** Entry of the process; resolves to its exit code. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = (): void => interrupt.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  // A reader that closed early (`meshctl ... | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    const code = await runCli({ args, io: processIo(env), signal: interrupt.signal });
    // Whoever pressed the tab key waits: nothing that is still open may hold the process.
    // oxlint-disable-next-line no-process-exit
    if (args[0] === '__complete') process.stdout.write('', () => process.exit(code));
    // Nor may a connection that was given up and that nobody can end: it would be waited for, for minutes.
    // oxlint-disable-next-line no-process-exit
    else setTimeout(() => process.exit(code), lingerMs).unref();
    return code;
  } finally {
    process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal);
  }
}

/** One invocation and what it talks to. */
interface Call {
  readonly args: readonly string[];
  readonly io: Io;
  readonly signal: AbortSignal;
}

/** Runs one invocation; `main` without the process around it. */
export async function runCli(call: Call): Promise<number> {
  const { args, io, signal } = call;
  try {
    if (args[0] === '__complete') {
      const { printCompletions } = await import('./completion/print-completions.js');
      return await printCompletions(args.slice(1), io, signal);
    }
    if (args[0] === '--version')
      return await runCli({ ...call, args: ['version', '--client', ...args.slice(1)] });
    const resolved = resolveCommand(args);
    if (resolved.what === 'group') return await showGroup(resolved, call);
    const [{ command: definition }, { parseArguments }] = await Promise.all([
      resolved.entry.load(),
      import('./parse.js'),
    ]);
    const parsed = parseArguments(resolved.entry, definition, resolved.args);
    if (parsed.what === 'help') {
      io.stdout(commandHelp(resolved.entry, definition, widthOf(io.isStdoutTty, io)));
      return exitCode.fine;
    }
    const { options } = parsed;
    const { makeProgress } = await import('./progress.js');
    const progress = makeProgress(io, { isQuiet: options.flag('quiet'), now: () => performance.now() });
    const { CommandTime } = await import('./command-time.js');
    const asked = options.number('timeout') ?? options.number('waypoint-timeout');
    const time = new CommandTime({
      timeoutMs: asked ?? definition.timeoutMs ?? defaultTimeoutMs,
      isPerWait: asked === undefined && definition.timeoutMs !== undefined,
      isEndless: options.flag('watch') || options.flag('follow'),
      interrupt: signal,
    });
    let connection: Promise<KubeConnection> | undefined;
    const context: CommandContext = {
      args: parsed.args,
      options,
      output: options.text('output') ?? '',
      namespace: options.text('namespace'),
      meshNamespace: options.text('istio-namespace') ?? 'istio-system',
      timeoutMs: time.timeoutMs,
      deadlineMs: () => time.deadlineMs,
      isVerbose: options.flag('verbose'),
      signal: time.signal,
      progress,
      io,
      kube: () => {
        time.begin();
        return (connection ??= import('./kube-connection.js').then(({ connectKube }) =>
          connectKube(options, {
            timeoutMs: time.timeoutMs,
            deadlineMs: () => time.deadlineMs,
            terminal: io.isInteractive ? io.stderr : undefined,
            env: io.env,
          }),
        ));
      },
      confirm: async (question) => {
        const { confirm } = await import('./prompt.js');
        return await time.whileAsking(() => confirm(io, { question, isYes: options.flag('yes'), signal }));
      },
      write: io.stdout,
    };
    try {
      const result = await time.bound(definition.run(context));
      progress.close();
      if (typeof result === 'number') return result;
      // A command may do without the cluster that it did not reach.
      const client = await connection?.then((found) => found.client).catch(() => undefined);
      if (client !== undefined) warnOfUnseen(client, result, progress);
      const { printResult } = await import('./output.js');
      await printResult(io, result, { format: context.output, isColorAllowed: options.flag('color') });
      if (result.failure !== undefined) return await tellFailure(result.failure, call);
      return result.exitCode ?? exitCode.fine;
    } finally {
      progress.close();
    }
  } catch (error) {
    return await showError(error, call);
  }
}

/** What the user was not allowed to look at, unless the result says so: once, whatever was done without it. */
function warnOfUnseen(client: KubeClient, { data }: CommandResult, progress: Progress): void {
  const unsaid = client.refusals.unsaidIn(JSON.stringify(data));
  if (unsaid.length > 0) progress.warn(`not seen, as this user may not: ${unsaid.join('; ')}`);
}

async function showGroup(group: { path: string; isHelpAsked: boolean }, call: Call): Promise<number> {
  const { path, isHelpAsked } = group;
  const { args, io } = call;
  if (isHelpAsked) {
    io.stdout(groupHelp(path, widthOf(io.isStdoutTty, io)));
    return exitCode.fine;
  }
  // A bare group is an incomplete command: a script that forgot a word must notice.
  if (machineFormat(args) !== undefined) {
    const words = path === '' ? 'meshctl' : `meshctl ${path}`;
    const hint = `One of: ${describedWordsAfter(path)
      .map(([word]) => word)
      .join(', ')}; "${words} --help" tells what they do.`;
    return await showError(new MeshError('MESH0109', `"${words}" needs one more word`, { hint }), call);
  }
  io.stderr(groupHelp(path, widthOf(io.isInteractive, io)));
  return exitCode.usage;
}

async function showError(thrown: unknown, call: Call): Promise<number> {
  const { args, io, signal } = call;
  const [{ reportOf }, { errorDocument, printDocument }, code] = await Promise.all([
    import('./error-report.js'),
    import('./output.js'),
    tellFailure(thrown, call),
  ]);
  const report = reportOf(thrown, signal.aborted);
  const format = machineFormat(args);
  if (format !== undefined)
    await printDocument(io, format, errorDocument(report.error, report.kind, report.exitCode));
  return code;
}

/** A failure for people, on standard error; resolves to its exit code. */
async function tellFailure(thrown: unknown, { args, io, signal }: Call): Promise<number> {
  const [{ reportOf, formatReport }, { makeStyle, wantsColor }] = await Promise.all([
    import('./error-report.js'),
    import('./style.js'),
  ]);
  const report = reportOf(thrown, signal.aborted);
  const isVerbose = args.includes('-v') || args.includes('--verbose');
  const style = await makeStyle(wantsColor(io.isInteractive, !args.includes('--no-color'), io.env));
  io.stderr(`${formatReport(report, { style, isVerbose, width: widthOf(io.isInteractive, io) })}\n`);
  return report.exitCode;
}

/** `-o json|yaml` found without parsing: it counts also when parsing is what failed. */
function machineFormat(args: readonly string[]): 'json' | 'yaml' | undefined {
  const end = args.indexOf('--');
  const own = end === -1 ? args : args.slice(0, end);
  for (const [index, arg] of own.entries()) {
    const value =
      arg === '-o' || arg === '--output' ? own[index + 1] : /^(?:--output=|-o=?)(json|yaml)$/.exec(arg)?.[1];
    if (value === 'json' || value === 'yaml') return value;
  }
  return undefined;
}
