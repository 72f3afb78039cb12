import { helpBlocks, helpSection, helpWidthMax } from './command-help.js';
import { capitalized, type Fact, wrapProse } from './prose.js';
import { commandEntries, groups, sections } from './registry.js';

/** Help of meshctl itself (`path` empty) or of a group of commands; `path` may be an alias. */
export function groupHelp(path: string, width: number): string {
  const margin = Math.min(width, helpWidthMax);
  const own = canonicalGroup(path);
  const rows = childRows(own);
  if (own !== '') {
    return helpBlocks([
      wrapProse(`${capitalized(groups[own] ?? own)}.`, margin),
      `Usage: meshctl ${own} COMMAND [options]`,
      helpSection('Commands', rows, margin),
      wrapProse(`"meshctl ${own} COMMAND --help" shows one command.`, margin),
    ]);
  }
  const listed = new Set(sections.flatMap(({ words }) => words));
  const others = rows.filter(([word]) => !listed.has(word));
  const labelWidth = Math.max(...rows.map(([word]) => word.length));
  const padded = (facts: readonly Fact[]): Fact[] =>
    facts.map(([word, text]) => [word.padEnd(labelWidth), text]);
  return helpBlocks([
    wrapProse(
      'meshctl gives a Kubernetes cluster an ambient service mesh and tells the truth about it.',
      margin,
    ),
    'Usage: meshctl COMMAND [options]',
    ...sections.map(({ title, words }) =>
      helpSection(title, padded(words.flatMap((word) => rows.filter(([name]) => name === word))), margin),
    ),
    helpSection('Others', padded(others), margin),
    wrapProse(
      '"meshctl COMMAND --help" shows one command, with examples; "meshctl options" the options that all of them take.',
      margin,
    ),
  ]);
}

/** The words that can follow those of a group, and what they mean. */
export function describedWordsAfter(path: string): readonly Fact[] {
  return childRows(canonicalGroup(path));
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
