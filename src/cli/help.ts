import { commandEntries, groups } from './registry.js';
import { globalOptions } from './global-options.js';

/** Help of meshctl itself (`path` empty) or of a group of commands. */
export function groupHelp(path: string): string {
  const rows = childRows(path);
  const width = Math.max(...rows.map(([name]) => name.length));
  const list = rows.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
  const intro =
    path === ''
      ? 'meshctl gives a Kubernetes cluster an ambient service mesh and tells the truth about it.'
      : `${capitalized(groups[path] ?? path)}.`;
  const usage = `Usage: meshctl ${path === '' ? '' : `${path} `}COMMAND [flags]`;
  if (path !== '') return `${intro}\n\n${usage}\n\nCommands:\n${list}\n`;
  const flagWidth = Math.max(...globalOptions.map((o) => o.flags.length));
  const flags = globalOptions.map((o) => `  ${o.flags.padEnd(flagWidth)}  ${o.description}`).join('\n');
  return `${intro}\n\n${usage}\n\nCommands:\n${list}\n\nGlobal options:\n${flags}\n\n"meshctl COMMAND --help" shows one command.\n`;
}

function childRows(path: string): [string, string][] {
  const prefix = path === '' ? '' : `${path} `;
  const rows = new Map<string, string>();
  for (const entry of commandEntries) {
    if (!entry.path.startsWith(prefix)) continue;
    const [word = '', ...deeper] = entry.path.slice(prefix.length).split(' ');
    if (deeper.length === 0) rows.set(word, entry.summary);
    else if (!rows.has(word)) rows.set(word, groups[`${prefix}${word}`] ?? '');
  }
  return [...rows];
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
