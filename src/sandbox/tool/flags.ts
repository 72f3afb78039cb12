import { goDurationMs } from '#base/time/duration.js';

/**
 * What a flag expects: `text` takes a value, `number` a value that must be a finite number >= 0, `seconds` such a
 * number or a duration like `1m30s`, `switch` none.
 */
export type FlagKind = 'text' | 'number' | 'seconds' | 'switch';

/** A command line the tool cannot act on; the message names the argument. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

/** Parsed command line: positional arguments in order, and the flags that were given. */
export interface ParsedFlags {
  readonly positional: readonly string[];
  text(name: string): string | undefined;
  number(name: string): number | undefined;
  has(name: string): boolean;
}

/**
 * Parses `--name value`, `--name=value` and switches; throws FlagError for flags
 * not in `kinds` and for missing or malformed values. `--` ends the flags.
 */
export function parseFlags(args: readonly string[], kinds: Readonly<Record<string, FlagKind>>): ParsedFlags {
  const positional: string[] = [];
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === '--') {
      positional.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith('--')) {
      positional.push(arg);
      continue;
    }
    const equals = arg.indexOf('=');
    const name = arg.slice(2, equals < 0 ? undefined : equals);
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) throw new FlagError(`unknown flag --${name}`);
    if (kind === 'switch') {
      if (equals >= 0) throw new FlagError(`--${name} takes no value`);
      values.set(name, '');
      continue;
    }
    const value = equals >= 0 ? arg.slice(equals + 1) : args[++i];
    if (value === undefined) throw new FlagError(`--${name} needs a value`);
    values.set(name, kind === 'text' ? value : String(amountOf(name, kind, value)));
  }
  return {
    positional,
    text: (name) => values.get(name),
    number: (name) => {
      const value = values.get(name);
      return value === undefined ? undefined : Number(value);
    },
    has: (name) => values.has(name),
  };
}

/** Reports a wrong command line on stderr; other errors are thrown on. Returns exit code 2. */
export function reportUsage(command: string, error: unknown): number {
  if (!(error instanceof FlagError)) throw error;
  process.stderr.write(`tool ${command}: ${error.message}\n`);
  return 2;
}

function amountOf(name: string, kind: 'number' | 'seconds', text: string): number {
  const ms = kind === 'seconds' ? goDurationMs(text) : undefined;
  const amount = ms === undefined ? Number(text) : ms / 1_000;
  if (text.trim() !== '' && Number.isFinite(amount) && amount >= 0) return amount;
  const wanted = kind === 'seconds' ? 'a duration such as 30s, or seconds' : 'a number';
  throw new FlagError(`--${name} needs ${wanted}, not ${JSON.stringify(text)}`);
}
