import type { CommandDefinition, CommandPermission, OptionSpec } from './command.js';
import { formatDuration } from './duration.js';
import { defaultFormats, globalOptions, outputOption } from './global-options.js';
import { alignFacts, type Fact, wrapProse } from './prose.js';
import { type CommandEntry, commandEntries, groups, sections } from './registry.js';

/** Help is prose: no wider than this, also where nothing limits it. */
const widest = 110;

/** Help of meshctl itself (`path` empty) or of a group of commands; `path` may be an alias. */
export function groupHelp(path: string, width: number): string {
  const margin = Math.min(width, widest);
  const own = canonicalGroup(path);
  const rows = childRows(own);
  if (own !== '') {
    return blocks([
      wrapProse(`${capitalized(groups[own] ?? own)}.`, margin),
      `Usage: meshctl ${own} COMMAND [options]`,
      section('Commands', rows, margin),
      wrapProse(`"meshctl ${own} COMMAND --help" shows one command.`, margin),
    ]);
  }
  const listed = new Set(sections.flatMap(({ words }) => words));
  const others = rows.filter(([word]) => !listed.has(word));
  const labelWidth = Math.max(...rows.map(([word]) => word.length));
  const padded = (facts: readonly Fact[]): Fact[] =>
    facts.map(([word, text]) => [word.padEnd(labelWidth), text]);
  return blocks([
    wrapProse(
      'meshctl gives a Kubernetes cluster an ambient service mesh and tells the truth about it.',
      margin,
    ),
    'Usage: meshctl COMMAND [options]',
    ...sections.map(({ title, words }) =>
      section(title, padded(words.flatMap((word) => rows.filter(([name]) => name === word))), margin),
    ),
    section('Others', padded(others), margin),
    wrapProse(
      '"meshctl COMMAND --help" shows one command, with examples; "meshctl options" the options that all of them take.',
      margin,
    ),
  ]);
}

/** The words that can follow those of a group. */
export function wordsAfter(path: string): readonly string[] {
  return childRows(canonicalGroup(path)).map(([word]) => word);
}

/** Help of one command: what it does, examples, its own options before the few global ones that matter, permissions. */
export function commandHelp(entry: CommandEntry, definition: CommandDefinition, width: number): string {
  const margin = Math.min(width, widest);
  const {
    description = `${capitalized(entry.summary)}.`,
    args = [],
    examples = [],
    permissions,
  } = definition;
  return blocks([
    wrapProse(description, margin),
    wrapProse(`Usage: ${usageLine(entry, definition)}`, margin, { hanging: 9 }),
    aliasesOf(entry).length === 0
      ? ''
      : wrapProse(`Aliases: ${aliasesOf(entry).join(', ')}`, margin, { hanging: 9 }),
    examples.length === 0 ? '' : `Examples:\n${examples.map((example) => `  ${example}`).join('\n')}`,
    section(
      'Arguments',
      args.map(({ name, description: text }) => [name, text]),
      margin,
    ),
    section(
      'Options',
      [...commandOptions(definition), ...notableOptions(definition)].map(optionFact),
      margin,
    ),
    section('Kubernetes permissions', (permissions ?? []).map(permissionFact), margin),
    wrapProse('"meshctl options" lists the options that every command takes.', margin),
  ]);
}

/** Help of the options that every command takes. */
export function globalOptionsHelp(width: number): string {
  const margin = Math.min(width, widest);
  return blocks([
    wrapProse('Every command takes these options, wherever they stand.', margin),
    section('Options', [...globalOptions, outputOption(defaultFormats)].map(optionFact), margin),
  ]);
}

/** `meshctl waypoint apply [name] [options]`. */
export function usageLine(entry: CommandEntry, { args = [] }: CommandDefinition): string {
  return ['meshctl', entry.path, ...args.map(({ name }) => name), '[options]'].join(' ');
}

/** Other spellings of a command, as one types them. */
export function aliasesOf({ aliases = [] }: CommandEntry): readonly string[] {
  return aliases.map((alias) => `meshctl ${alias}`);
}

/** A command's own options, without hidden ones. */
export function commandOptions({ options = [] }: CommandDefinition): readonly OptionSpec[] {
  return options.filter(({ hidden }) => hidden !== true);
}

/** The global options that matter for a command: its formats, and namespace and timeout where they do something. */
export function notableOptions({
  formats = defaultFormats,
  permissions = [],
  timeoutMs,
}: CommandDefinition): readonly OptionSpec[] {
  const named = (flag: string): OptionSpec[] => globalOptions.filter(({ flags }) => flags.includes(flag));
  return [
    ...(formats.length === 0 ? [] : [outputOption(formats)]),
    ...(permissions.some((permission) => permission.in === 'namespace') ? named('--namespace') : []),
    ...(timeoutMs === undefined
      ? []
      : named('--timeout').map((spec) => ({ ...spec, defaultValue: formatDuration(timeoutMs) }))),
  ];
}

/** An option with what it does, its values and its default. */
export function optionFact({ flags, description, choices, defaultValue }: OptionSpec): Fact {
  const notes = [
    ...(choices === undefined ? [] : [choices.join(', ')]),
    ...(defaultValue === undefined ? [] : [`default: ${defaultValue}`]),
  ];
  return [flags, notes.length === 0 ? description : `${description} (${notes.join('; ')})`];
}

/** A permission: what it allows, where, and what for. */
export function permissionFact({ verbs, resource, group, in: where, why }: CommandPermission): Fact {
  const places = {
    cluster: 'cluster-wide',
    namespace: 'in the namespace',
    'mesh namespace': "in the mesh's namespace",
  };
  const [name = '', ...sub] = resource.split('/');
  const full = [group === undefined ? name : `${name}.${group}`, ...sub].join('/');
  return [`${verbs.join(', ')} ${full}`, `${places[where]}, to ${why}`];
}

/** The group that a path of words means: `zc` is `ztunnel-config`. */
function canonicalGroup(path: string): string {
  if (path === '' || groups[path] !== undefined) return path;
  for (const { path: own, aliases = [] } of commandEntries) {
    if (aliases.some((alias) => alias.startsWith(`${path} `))) return own.split(' ').slice(0, -1).join(' ');
  }
  return path;
}

function childRows(path: string): Fact[] {
  const prefix = path === '' ? '' : `${path} `;
  const rows = new Map<string, string>();
  for (const entry of commandEntries) {
    if (!entry.path.startsWith(prefix) || entry.hidden === true) continue;
    const [word = '', ...deeper] = entry.path.slice(prefix.length).split(' ');
    if (deeper.length === 0) rows.set(word, entry.summary);
    else if (!rows.has(word)) rows.set(word, groups[`${prefix}${word}`] ?? '');
  }
  return [...rows];
}

function section(title: string, facts: readonly Fact[], width: number): string {
  return facts.length === 0 ? '' : `${title}:\n${alignFacts(facts, { width, indent: 2 })}`;
}

function blocks(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
