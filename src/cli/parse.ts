import { Argument, Command, CommanderError, Option } from 'commander';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { CommandDefinition, CommandEntry, OptionSpec } from './command.js';
import { parseDurationMs } from './duration.js';
import { defaultFormats, globalOptions, outputOption } from './global-options.js';
import { Options } from './options.js';
import { flagNames } from './resolve-command.js';

/** A parsed invocation, or the help text that was asked for. */
export type Parsed =
  | { readonly what: 'run'; readonly args: readonly string[]; readonly options: Options }
  | { readonly what: 'help' };

/** Parses the arguments of one command. Throws a usage MeshError (MESH0101 to MESH0103). */
export function parseArguments(
  entry: CommandEntry,
  definition: CommandDefinition,
  args: readonly string[],
): Parsed {
  const formats = definition.formats ?? defaultFormats;
  const own = definition.options ?? [];
  const ownFlags = new Set(own.flatMap(flagNames));
  const shared = [...globalOptions, ...(formats.length === 0 ? [] : [outputOption(formats)])].filter(
    (spec) => !flagNames(spec).some((flag) => ownFlags.has(flag)),
  );
  const specs = [...own, ...shared];
  const command = new Command(`meshctl ${entry.path}`)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .showSuggestionAfterError(false)
    .helpOption('-h, --help', 'this text')
    .action(() => undefined);
  for (const arg of definition.args ?? []) command.addArgument(new Argument(arg.name, arg.description));
  for (const spec of own) command.addOption(commanderOption(spec));
  for (const spec of shared) command.addOption(commanderOption(spec));
  try {
    const count = definition.passThroughAfter;
    const words = count === undefined ? args : separated(specs, args, count);
    command.parse(plainFlags(specs, withoutAliases(specs, words)), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { what: 'help' };
    throw usageError(error, entry, specs);
  }
  return { what: 'run', args: command.args, options: new Options(command.opts()) };
}

function commanderOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.defaultValue !== undefined) option.default(spec.defaultValue);
  if (spec.hidden === true) option.hideHelp();
  if (spec.repeat === true) {
    option.argParser<string[]>((value, previous) => [...(previous ?? []), value]);
    return option;
  }
  if (spec.choices !== undefined) option.choices(spec.choices);
  const name = flagNames(spec).at(-1) ?? spec.flags;
  if (spec.type === 'duration') {
    option.argParser((value) => {
      const ms = parseDurationMs(value);
      if (ms !== undefined) return ms;
      throw new MeshError('MESH0103', `${name}: "${value}" is not a duration`, {
        hint: 'Use forms such as 30s, 2m, 1m30s (at most 24h).',
      });
    });
  }
  if (spec.type === 'integer') {
    option.argParser((value) => {
      if (/^\d{1,9}$/.test(value)) return Number(value);
      throw new MeshError('MESH0103', `${name}: "${value}" is not a whole number`);
    });
  }
  return option;
}

/** The arguments with `--` after the first `count` that are no flags, unless it is there already. */
function separated(specs: readonly OptionSpec[], args: readonly string[], count: number): string[] {
  const takesValue = new Set(specs.filter((spec) => spec.flags.includes('<')).flatMap(flagNames));
  let operands = 0;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === '--') return [...args];
    if (takesValue.has(arg)) i++;
    else if ((arg === '-' || !arg.startsWith('-')) && operands++ === count)
      return [...args.slice(0, i), '--', ...args.slice(i)];
  }
  return [...args];
}

/** Other spellings of a flag become the one commander knows. */
function withoutAliases(specs: readonly OptionSpec[], args: readonly string[]): string[] {
  const canonical = new Map<string, string>();
  for (const spec of specs) {
    const long = spec.flags.split(/[ ,|=[]+/).find((part) => part.startsWith('--'));
    for (const alias of spec.aliases ?? []) if (long !== undefined) canonical.set(alias, long);
  }
  const end = args.indexOf('--');
  return args.map((arg, index) => {
    if (end !== -1 && index > end) return arg;
    const [name = '', ...value] = arg.split('=');
    const long = canonical.get(name);
    return long === undefined ? arg : [long, ...value].join('=');
  });
}

/** `--flag=true` and `--flag=false` as commander knows them: present or absent, and `--no-flag` where that is one. */
function plainFlags(specs: readonly OptionSpec[], args: readonly string[]): string[] {
  const takesValue = ({ flags: text }: OptionSpec): boolean => /[<[]/.test(text);
  const flags = new Set(specs.filter((spec) => !takesValue(spec)).flatMap(flagNames));
  const others = new Set(specs.filter(takesValue).flatMap(flagNames));
  const end = args.indexOf('--');
  return args.flatMap((arg, index) => {
    const [, name = '', value] = /^(--[\w-]+)(?:=(.*))?$/.exec(arg) ?? [];
    const isOwn = (end === -1 || index < end) && !others.has(name);
    const negation = name.replace(/^--/, '--no-');
    if (!isOwn || (value === undefined ? !flags.has(negation) : !flags.has(name) && !flags.has(negation)))
      return [arg];
    if (value !== undefined && !/^(?:true|false)$/.test(value)) {
      throw new MeshError('MESH0103', `${name}: "${value}" is neither true nor false`);
    }
    if (flags.has(name)) return value === 'false' ? [] : [name];
    return value === 'false' ? [negation] : [];
  });
}

function usageError(error: CommanderError, entry: CommandEntry, specs: readonly OptionSpec[]): MeshError {
  const text = error.message.replace(/^error: /, '');
  const seeHelp = `"meshctl ${entry.path} --help" shows what it takes.`;
  switch (error.code) {
    case 'commander.unknownOption': {
      const flag = /'([^']+)'/.exec(text)?.[1]?.split('=')[0] ?? '';
      const near = nearMiss(
        flag,
        specs.flatMap(flagNames).filter((f) => f.startsWith('--')),
      );
      return new MeshError('MESH0101', `unknown flag ${flag} for "meshctl ${entry.path}"`, {
        hint: near === undefined ? seeHelp : `Did you mean ${near}?`,
      });
    }
    case 'commander.optionMissingArgument':
      return new MeshError('MESH0101', text, { hint: seeHelp });
    case 'commander.invalidArgument': {
      const given = /argument '([^']*)' is invalid/.exec(text)?.[1];
      const choices = /Allowed choices are (.*)\.$/.exec(text)?.[1]?.split(', ');
      const near = given === undefined || choices === undefined ? undefined : nearMiss(given, choices);
      return new MeshError('MESH0103', text, {
        hint: near === undefined ? seeHelp : `Did you mean ${near}?`,
      });
    }
    default:
      return new MeshError('MESH0102', text, { hint: seeHelp });
  }
}
