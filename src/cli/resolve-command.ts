import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { CommandEntry, OptionSpec } from './command.js';
import { globalOptions } from './global-options.js';
import { commandEntries, groups, transparentWords } from './registry.js';
import { substituteFor } from './substitutes.js';

/** What the words of an invocation point at. */
export type Resolved =
  | { readonly what: 'command'; readonly entry: CommandEntry; readonly args: readonly string[] }
  | { readonly what: 'group'; readonly path: string; readonly isHelpAsked: boolean };

/** Finds the command named in an argument list; flags may stand before, between and after its words. */
export function resolveCommand(args: readonly string[]): Resolved {
  const help = args[0] === 'help';
  const list = withKindApart(help ? args.slice(1) : args);
  const rest: string[] = [];
  let path = '';
  let index = 0;
  for (; index < list.length; index++) {
    const word = list[index] ?? '';
    if (word === '--') break;
    if (word === '-h' || word === '--help') {
      rest.push(word);
      continue;
    }
    if (word.startsWith('-') && word !== '-') {
      const takesValue = flagTakesValue(word);
      if (takesValue === undefined) break;
      rest.push(word);
      if (takesValue && index + 1 < list.length) rest.push(list[++index] ?? '');
      continue;
    }
    if (path === '' && transparentWords.includes(word)) continue;
    const longer = path === '' ? word : `${path} ${word}`;
    if (!leadsToCommand(longer)) break;
    path = longer;
    if (commandAt(path) !== undefined && !hasChildren(path)) {
      index++;
      break;
    }
  }
  const isHelpAsked = help || rest.includes('--help') || rest.includes('-h');
  const entry = commandAt(path);
  if (entry !== undefined) {
    return { what: 'command', entry, args: [...rest, ...list.slice(index), ...(help ? ['--help'] : [])] };
  }
  const next = list[index];
  if (next === undefined) return { what: 'group', path, isHelpAsked };
  if (isHelpAsked || list.slice(index).some((w) => w === '--help' || w === '-h')) {
    return { what: 'group', path, isHelpAsked: true };
  }
  if (next.startsWith('-')) {
    throw new MeshError('MESH0101', `unknown flag ${next.split('=')[0]} before a command`, {
      hint: 'Put the flags of a command after its name; "meshctl --help" lists the commands.',
    });
  }
  const words = [...path.split(' '), ...list.slice(index)].filter(
    (word) => word !== '' && !word.startsWith('-'),
  );
  throw commandOfIstioctl(words) ?? unknownCommand(path, next);
}

/** `describe svc/web` is `describe svc web`; a workload that leads to pods is described as one of them. */
function withKindApart(args: readonly string[]): readonly string[] {
  const at = args.indexOf('describe');
  const [kind, ...name] = (args[at + 1] ?? '').split('/');
  if (at === -1 || kind === undefined || name.length === 0) return args;
  const parts = leadsToCommand(`describe ${kind}`) ? [kind, name.join('/')] : ['pod', args[at + 1] ?? ''];
  return [...args.slice(0, at + 1), ...parts, ...args.slice(at + 2)];
}

function flagTakesValue(word: string): boolean | undefined {
  const name = word.split('=')[0] ?? word;
  for (const spec of globalOptions) {
    const names = flagNames(spec);
    if (names.includes(name)) return spec.flags.includes('<') && !word.includes('=');
    // Short flags carry their value without a space: -nshop.
    if (/^-[a-z]./i.test(word) && !word.startsWith('--') && names.includes(word.slice(0, 2))) return false;
  }
  if (name === '-o' || name === '--output') return !word.includes('=');
  if (/^-o./.test(word)) return false;
  return undefined;
}

/** Every spelling of a flag: `-n`, `--namespace`, aliases. */
export function flagNames(spec: OptionSpec): string[] {
  const names = spec.flags.split(/[ ,|=[]+/).filter((part) => part.startsWith('-'));
  return [...names, ...(spec.aliases ?? [])];
}

function paths(entry: CommandEntry): readonly string[] {
  return [entry.path, ...(entry.aliases ?? [])];
}

/** The command at a path of words, under any of its names. */
export function commandAt(path: string): CommandEntry | undefined {
  return commandEntries.find((entry) => paths(entry).includes(path));
}

function hasChildren(path: string): boolean {
  return commandEntries.some((entry) => paths(entry).some((p) => p.startsWith(`${path} `)));
}

/** Whether a path of words is a command or leads to one. */
export function leadsToCommand(path: string): boolean {
  return commandAt(path) !== undefined || hasChildren(path);
}

/** A command that istioctl has and meshctl has not; undefined when it is no such. */
function commandOfIstioctl(words: readonly string[]): MeshError | undefined {
  const substitute = substituteFor(words);
  if (substitute === undefined) return undefined;
  return new MeshError(
    'MESH0110',
    `meshctl has no command "${words.slice(0, 2).join(' ')}": ${substitute.why}`,
    {
      hint: substitute.instead.map((command) => `"${command}"`).join(' or '),
    },
  );
}

function unknownCommand(path: string, word: string): MeshError {
  const prefix = path === '' ? '' : `${path} `;
  const candidates = new Set<string>(path === '' ? Object.keys(groups) : []);
  for (const entry of commandEntries) {
    for (const p of paths(entry)) {
      if (p.startsWith(prefix)) candidates.add(p.slice(prefix.length).split(' ')[0] ?? '');
    }
  }
  const near = nearMiss(word, candidates);
  return new MeshError('MESH0100', `unknown command "meshctl ${prefix}${word}"`, {
    hint:
      near === undefined
        ? `Run "meshctl ${prefix}--help" for the list of commands.`
        : `Did you mean "meshctl ${prefix}${near}"?`,
  });
}
