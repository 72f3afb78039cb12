import type { CommandContext, KubeConnection } from './context.js';
import { processIo, type Io } from './io.js';
import { groupHelp } from './help.js';
import { resolveCommand } from './resolve-command.js';
import { exitCode } from './exit-code.js';

const defaultTimeoutMs = 30_000;

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
    return await runCli({ args, io: processIo(env), signal: interrupt.signal });
  } finally {
    process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal);
  }
}

/** Runs one invocation; `main` without the process around it. */
export async function runCli(call: {
  args: readonly string[];
  io: Io;
  signal: AbortSignal;
}): Promise<number> {
  const { args, io, signal } = call;
  try {
    if (args[0] === '--version')
      return await runCli({ ...call, args: ['version', '--client', ...args.slice(1)] });
    const resolved = resolveCommand(args);
    if (resolved.what === 'group') return showGroup(resolved.path, resolved.isHelpAsked, io);
    const [{ command: definition }, { parseArguments }] = await Promise.all([
      resolved.entry.load(),
      import('./parse.js'),
    ]);
    const parsed = parseArguments(resolved.entry, definition, resolved.args);
    if (parsed.what === 'help') {
      io.stdout(parsed.text);
      return exitCode.fine;
    }
    const { options } = parsed;
    const { makeProgress } = await import('./progress.js');
    const progress = makeProgress(io, { isQuiet: options.flag('quiet'), now: () => performance.now() });
    let connection: Promise<KubeConnection> | undefined;
    const context: CommandContext = {
      args: parsed.args,
      options,
      output: options.text('output') ?? '',
      namespace: options.text('namespace'),
      meshNamespace: options.text('istio-namespace') ?? 'istio-system',
      timeoutMs: options.number('timeout') ?? definition.timeoutMs ?? defaultTimeoutMs,
      isVerbose: options.flag('verbose'),
      signal,
      progress,
      io,
      kube: () => (connection ??= import('./kube-connection.js').then((m) => m.connectKube(options))),
      confirm: async (question) => {
        const { confirm } = await import('./prompt.js');
        await confirm(io, { question, isYes: options.flag('yes'), signal });
      },
      write: io.stdout,
    };
    try {
      const result = await definition.run(context);
      progress.close();
      if (typeof result === 'number') return result;
      const { printResult } = await import('./output.js');
      await printResult(io, result, { format: context.output, isColorAllowed: options.flag('color') });
      return result.exitCode ?? exitCode.fine;
    } finally {
      progress.close();
    }
  } catch (error) {
    return await showError(error, call);
  }
}

function showGroup(path: string, isHelpAsked: boolean, io: Io): number {
  if (isHelpAsked) {
    io.stdout(groupHelp(path));
    return exitCode.fine;
  }
  // A bare group is an incomplete command: a script that forgot a word must notice.
  io.stderr(groupHelp(path));
  return exitCode.usage;
}

async function showError(
  thrown: unknown,
  call: { args: readonly string[]; io: Io; signal: AbortSignal },
): Promise<number> {
  const { args, io, signal } = call;
  const [{ reportOf, formatReport }, { makeStyle, wantsColor }, { errorDocument, printDocument }] =
    await Promise.all([import('./error-report.js'), import('./style.js'), import('./output.js')]);
  const report = reportOf(thrown, signal.aborted);
  const isVerbose = args.includes('-v') || args.includes('--verbose');
  const style = await makeStyle(wantsColor(io.isInteractive, !args.includes('--no-color'), io.env));
  io.stderr(`${formatReport(report, style, isVerbose)}\n`);
  const format = machineFormat(args);
  if (format !== undefined)
    await printDocument(io, format, errorDocument(report.error, report.kind, report.exitCode));
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
