import {
  aliasesOf,
  commandOptions,
  notableOptions,
  optionFact,
  permissionFacts,
  usageLine,
} from '../src/cli/command-help.js';
import type { CommandDefinition, CommandEntry } from '../src/cli/command.js';
import { exitCode } from '../src/cli/exit-code.js';
import { globalOptions } from '../src/cli/global-options.js';
import type { Fact } from '../src/cli/prose.js';
import { commandEntries, groups, sections } from '../src/cli/registry.js';
import { markdownTable } from './markdown-table.js';

/** A command with its code loaded. */
interface LoadedCommand {
  readonly entry: CommandEntry;
  readonly definition: CommandDefinition;
}

const exitCodes: readonly Fact[] = [
  [String(exitCode.fine), 'fine'],
  [String(exitCode.notFine), 'what was asked about is not fine, or the operation failed'],
  [String(exitCode.usage), 'wrong usage: unknown command, flag or value'],
  [String(exitCode.access), 'the cluster cannot be reached, or does not permit it'],
  [String(exitCode.timeout), 'gave up waiting'],
];

const program = 'meshctl gives a Kubernetes cluster an ambient service mesh and tells the truth about it.';

/** Pages about the commands, by path below the repository: Markdown in docs/commands, manual pages in man. */
export async function commandDocuments(): Promise<ReadonlyMap<string, string>> {
  const byWord = new Map<string, LoadedCommand[]>();
  for (const entry of commandEntries.filter(({ hidden }) => hidden !== true)) {
    const [word = ''] = entry.path.split(' ');
    byWord.set(word, [...(byWord.get(word) ?? []), { entry, definition: (await entry.load()).command }]);
  }
  const pages = new Map<string, string>();
  pages.set('docs/commands/README.md', markdownIndex(byWord));
  pages.set('man/meshctl.1', manualIndex(byWord));
  for (const [word, commands] of byWord) {
    pages.set(`docs/commands/${word}.md`, markdownPage(word, commands));
    pages.set(`man/meshctl-${word}.1`, manualPage(word, commands));
  }
  return pages;
}

function markdownIndex(byWord: ReadonlyMap<string, readonly LoadedCommand[]>): string {
  return blocks([
    '# Commands',
    `${program} This folder is written from the commands themselves: \`npm run docs\`.`,
    ...sectionsOf(byWord).map(([title, words]) =>
      blocks([
        `## ${title}`,
        markdownTable(
          ['command', 'what it does'],
          words.map((word) => [`[${word}](${word}.md)`, summaryOf(word, byWord.get(word) ?? [])]),
        ),
      ]).trimEnd(),
    ),
    '## Global options',
    'Every command takes these, wherever they stand.',
    markdownTable(['option', 'what it does'], globalOptions.map(optionFact).map(coded)),
    '## Exit codes',
    markdownTable(['code', 'meaning'], exitCodes),
  ]);
}

function markdownPage(word: string, commands: readonly LoadedCommand[]): string {
  const [only] = commands;
  if (only !== undefined && commands.length === 1 && only.entry.path === word) {
    return blocks([`# meshctl ${word}`, ...markdownCommand(only, '##')]);
  }
  return blocks([
    `# meshctl ${word}`,
    sentence(groups[word] ?? word),
    ...commands.flatMap((command) => [
      `## meshctl ${command.entry.path}`,
      ...markdownCommand(command, '###'),
    ]),
  ]);
}

function markdownCommand({ entry, definition }: LoadedCommand, level: string): string[] {
  const { args = [], examples = [], permissions = [] } = definition;
  const options = [...commandOptions(definition), ...notableOptions(definition)].map(optionFact);
  const also = aliasesOf(entry).map((alias) => `\`${alias}\``);
  return [
    definition.description ?? sentence(entry.summary),
    fenced([usageLine(entry, definition)]),
    ...(also.length === 0 ? [] : [`Also: ${also.join(', ')}.`]),
    ...(examples.length === 0 ? [] : [`${level} Examples`, fenced(examples)]),
    ...(args.length === 0
      ? []
      : [
          `${level} Arguments`,
          markdownTable(
            ['argument', 'what it is'],
            args.map(({ name, description }) => coded([name, description])),
          ),
        ]),
    ...(options.length === 0
      ? []
      : [`${level} Options`, markdownTable(['option', 'what it does'], options.map(coded))]),
    ...(permissions.length === 0
      ? []
      : [
          `${level} Kubernetes permissions`,
          markdownTable(['may', 'on what, and what for'], permissionFacts(permissions)),
        ]),
  ];
}

function manualIndex(byWord: ReadonlyMap<string, readonly LoadedCommand[]>): string {
  return roff([
    heading('MESHCTL'),
    '.SH NAME',
    `meshctl \\- ${escaped('an ambient service mesh for Kubernetes')}`,
    '.SH SYNOPSIS',
    '.B meshctl',
    'COMMAND [options]',
    '.SH DESCRIPTION',
    escaped(program),
    ...sectionsOf(byWord).flatMap(([title, words]) => [
      `.SH ${escaped(title.toUpperCase())}`,
      ...words.flatMap((word) => tagged([`meshctl-${word}(1)`, summaryOf(word, byWord.get(word) ?? [])])),
    ]),
    '.SH GLOBAL OPTIONS',
    ...globalOptions.map(optionFact).flatMap(tagged),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(tagged),
  ]);
}

function manualPage(word: string, commands: readonly LoadedCommand[]): string {
  return roff([
    heading(`MESHCTL-${word.toUpperCase()}`),
    '.SH NAME',
    `${escaped(`meshctl-${word}`)} \\- ${escaped(summaryOf(word, commands))}`,
    '.SH SYNOPSIS',
    ...commands.flatMap(({ entry, definition }, at) => [
      ...(at === 0 ? [] : ['.br']),
      escaped(usageLine(entry, definition)),
    ]),
    ...commands.flatMap(({ entry, definition }) => {
      const { args = [], examples = [], permissions = [] } = definition;
      const options = [...commandOptions(definition), ...notableOptions(definition)].map(optionFact);
      return [
        `.SH ${escaped(`meshctl ${entry.path}`.toUpperCase())}`,
        escaped(definition.description ?? sentence(entry.summary)),
        ...part('Arguments', args.map(({ name, description }): Fact => [name, description]).flatMap(tagged)),
        ...part('Options', options.flatMap(tagged)),
        ...part('Examples', examples.length === 0 ? [] : ['.nf', ...examples.map(escaped), '.fi']),
        ...part('Kubernetes permissions', permissionFacts(permissions).flatMap(tagged)),
      ];
    }),
    '.SH SEE ALSO',
    '.BR meshctl (1)',
  ]);
}

/** Titles of the sections that have commands, with the first words of these. */
function sectionsOf(byWord: ReadonlyMap<string, unknown>): readonly (readonly [string, readonly string[]])[] {
  return sections
    .map(({ title, words }) => [title, words.filter((word) => byWord.has(word))] as const)
    .filter(([, words]) => words.length > 0);
}

function summaryOf(word: string, commands: readonly LoadedCommand[]): string {
  return groups[word] ?? commands[0]?.entry.summary ?? '';
}

function coded([label, text]: Fact): Fact {
  return [`\`${label}\``, text];
}

function fenced(lines: readonly string[]): string {
  return ['```sh', ...lines, '```'].join('\n');
}

function blocks(parts: readonly string[]): string {
  return `${parts.join('\n\n')}\n`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function roff(lines: readonly string[]): string {
  return `${['.\\" Written by: npm run docs', ...lines].join('\n')}\n`;
}

function heading(title: string): string {
  return `.TH ${escaped(title)} 1 "" meshctl "meshctl manual"`;
}

function part(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`.SS ${title}`, ...lines];
}

/** A paragraph under a label. */
function tagged([label, text]: Fact): string[] {
  return ['.TP', `.B ${escaped(label)}`, escaped(text)];
}

/** Text that roff takes for nothing but text. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replace(/^([.'])/gm, '\\&$1');
}
