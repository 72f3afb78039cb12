import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { stopSignals } from '#base/system/stop-signals.js';
import { createLogger, type Logger, setLogLevel } from '#base/telemetry/log.js';
import { productVersion } from '../telemetry/version.js';

/** One of the product's long-running programs. */
export interface Program {
  /** Scope of its log. */
  readonly name: string;
  readonly args: readonly string[];
  /** Log level when no flag names one, in the grammar of `setLogLevel` or upstream's (`default:info`). */
  readonly logLevel?: string | undefined;
  /** Codes of errors that mean wrong arguments or settings: exit code 2. */
  readonly usageCodes?: readonly string[];
  /** Runs until the signal is aborted and has wound down when it resolves; a number is the exit code. */
  run(context: { readonly signal: AbortSignal; readonly log: Logger }): Promise<number | void>;
}

const levelFlag = '--log_output_level';

/**
 * Runs a program from its arguments to its exit code: `version`, log levels, signals, and what is said when it cannot
 * go on (code, evidence, what to do). Exit codes: 0 ended in good order, 1 failed, 2 wrong arguments or settings.
 */
export async function runProgram(program: Program): Promise<number> {
  const { name, args } = program;
  if (args[0] === 'version') {
    process.stdout.write(`${productVersion}\n`);
    return 0;
  }
  const log = createLogger(name);
  const level = logLevelOf(args) ?? program.logLevel;
  const unread =
    level === undefined ? undefined : setLogLevel(level.replaceAll('default:', ''), { reset: true });
  if (unread !== undefined) log.warn('part of the log level cannot be read', { part: unread });
  const stop = stopSignals((signal) => log.info('received signal', { signal }));
  try {
    const code = await program.run({ signal: stop.signal, log });
    log.info('shutdown complete');
    return code ?? 0;
  } catch (error) {
    const { code, evidence, hint } = error instanceof MeshError ? error : {};
    log.error(messageOf(error), { code, evidence, hint });
    return code !== undefined && program.usageCodes?.includes(code) === true ? 2 : 1;
  } finally {
    stop.release();
  }
}

/** The arguments without the log level, as `--log_output_level=info` or in two words. */
export function withoutLogLevel(args: readonly string[]): readonly string[] {
  return args.filter(
    (arg, index) => !arg.startsWith(`${levelFlag}=`) && arg !== levelFlag && args[index - 1] !== levelFlag,
  );
}

function logLevelOf(args: readonly string[]): string | undefined {
  const at = args.indexOf(levelFlag);
  if (at >= 0) return args[at + 1];
  return args.find((arg) => arg.startsWith(`${levelFlag}=`))?.slice(levelFlag.length + 1);
}
