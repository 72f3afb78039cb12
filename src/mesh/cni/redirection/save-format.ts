import type { Rule, RuleSet, TableName } from './rule.js';

const tables: readonly string[] = ['mangle', 'nat', 'raw'];

/**
 * Parses the output of iptables-save. Tables the mesh does not use, comments and
 * counters are skipped; all chains and rules of the other tables are returned.
 */
export function parseSave(text: string): RuleSet {
  const chains = new Set<string>();
  const rules: Rule[] = [];
  let table: TableName | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      const name = line.slice(1).trim();
      table = tables.includes(name) ? (name as TableName) : undefined;
    } else if (table === undefined) {
      continue;
    } else if (line.startsWith(':')) {
      chains.add(`${table}/${line.slice(1).split(' ')[0] ?? ''}`);
    } else {
      const match = /^(?:\[\d+:\d+\] )?-A (\S+) ?(.*)$/.exec(line);
      if (match) rules.push({ table, chain: match[1] ?? '', spec: match[2] ?? '' });
    }
  }
  return { chains, rules };
}
