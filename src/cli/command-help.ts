import type { CommandDefinition, CommandEntry, CommandPermission, OptionSpec } from './command.js';
import { formatDuration } from './duration.js';
import { defaultFormats, globalOptions, outputOption } from './global-options.js';
import { alignFacts, capitalized, type Fact, wrapProse } from './prose.js';

/** Help is prose: no wider than this, also where nothing limits it. */
export const helpWidthMax = 110;

/** Help of one command: what it does, examples, its own options before the few global ones that matter, permissions. */
export function commandHelp(entry: CommandEntry, definition: CommandDefinition, width: number): string {
  const margin = Math.min(width, helpWidthMax);
  const {
    description = `${capitalized(entry.summary)}.`,
    args = [],
    examples = [],
    permissions,
  } = definition;
  return helpBlocks([
    wrapProse(description, margin),
    wrapProse(`Usage: ${usageLine(entry, definition)}`, margin, { hanging: 9 }),
    aliasesOf(entry).length === 0
      ? ''
      : wrapProse(`Aliases: ${aliasesOf(entry).join(', ')}`, margin, { hanging: 9 }),
    examples.length === 0 ? '' : `Examples:\n${examples.map((example) => `  ${example}`).join('\n')}`,
    helpSection(
      'Arguments',
      args.map(({ name, description: text }) => [name, text]),
      margin,
    ),
    helpSection(
      'Options',
      [...commandOptions(definition), ...notableOptions(definition)].map(optionFact),
      margin,
    ),
    permissionSection(permissions ?? [], margin),
    wrapProse('"meshctl options" lists the options that every command takes.', margin),
  ]);
}

/** Help of the options that every command takes. */
export function globalOptionsHelp(width: number): string {
  const margin = Math.min(width, helpWidthMax);
  return helpBlocks([
    wrapProse('Every command takes these options, wherever they stand.', margin),
    helpSection('Options', [...globalOptions, outputOption(defaultFormats)].map(optionFact), margin),
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

/** Permissions, those with one purpose together: what may be done where, on what and what for. */
export function permissionFacts(permissions: readonly CommandPermission[]): readonly Fact[] {
  const places = {
    cluster: 'cluster-wide',
    namespace: 'in the namespace',
    'mesh namespace': "in the mesh's namespace",
  };
  const byPurpose = new Map<
    string,
    { readonly label: string; readonly why: string; readonly resources: Set<string> }
  >();
  for (const { verbs, resource, group, in: where, why } of permissions) {
    const label = `${verbs.join(', ')} ${places[where]}`;
    const row = byPurpose.get(`${label} ${why}`) ?? { label, why, resources: new Set<string>() };
    const [name = '', ...sub] = resource.split('/');
    row.resources.add([group === undefined ? name : `${name}.${group}`, ...sub].join('/'));
    byPurpose.set(`${label} ${why}`, row);
  }
  return [...byPurpose.values()].map(({ label, why, resources }) => [
    label,
    `${[...resources].join(', ')} (to ${why})`,
  ]);
}

/** One below the other rather than in columns: resources have long names. */
function permissionSection(permissions: readonly CommandPermission[], width: number): string {
  const lines = permissionFacts(permissions).map(([label, text]) =>
    wrapProse(`${label}: ${text}`, width, { indent: 2, hanging: 4 }),
  );
  return lines.length === 0 ? '' : ['Kubernetes permissions:', ...lines].join('\n');
}

/** A title and what stands below it; empty when nothing does. */
export function helpSection(title: string, facts: readonly Fact[], width: number): string {
  return facts.length === 0 ? '' : `${title}:\n${alignFacts(facts, { width, indent: 2 })}`;
}

/** Parts of a help text, those that are not empty, with empty lines between. */
export function helpBlocks(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}
