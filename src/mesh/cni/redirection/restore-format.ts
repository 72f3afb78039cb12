import { meshRules } from './pod-rules.js';
import type { Rule, RuleSet } from './rule.js';

const builtinChains = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

/**
 * Input for `iptables-restore --noflush` that replaces whatever the mesh has in a
 * namespace by `wanted`, one commit per table: within a table there is no moment
 * with half the rules. Our jumps go first in the kernel's own chains: a rule of others before
 * them would win. An empty `wanted` removes everything of ours.
 */
export function restoreInput(wanted: readonly Rule[], observed: RuleSet): string {
  const old = meshRules(observed);
  const lines: string[] = [];
  for (const table of ['raw', 'mangle', 'nat'] as const) {
    const rules = wanted.filter((rule) => rule.table === table);
    const oldRules = old.rules.filter((rule) => rule.table === table);
    const oldChains = [...old.chains]
      .filter((name) => name.startsWith(`${table}/`))
      .map((name) => name.slice(table.length + 1));
    const named = rules.flatMap((rule) => [rule.chain, /-j (ISTIO_\w+)/.exec(rule.spec)?.[1] ?? rule.chain]);
    const chains = [...new Set(named)].filter((name) => !builtinChains.has(name));
    if (rules.length === 0 && oldRules.length === 0 && oldChains.length === 0) continue;

    lines.push(`*${table}`);
    // Declaring a chain creates it, or flushes it when it is there.
    for (const chain of new Set([...chains, ...oldChains])) lines.push(`:${chain} - [0:0]`);
    for (const rule of oldRules) {
      if (builtinChains.has(rule.chain)) lines.push(removal(rule));
    }
    for (const rule of rules) lines.push(addition(rule));
    for (const chain of oldChains) {
      if (!chains.includes(chain)) lines.push(`-X ${chain}`);
    }
    lines.push('COMMIT');
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/**
 * Input for `iptables-restore --noflush` that takes away what leads new connections to the
 * proxy: the jumps of the tables that decide by connection. Our chains stay, and with them
 * the kernel's connection tracking: it ends with the last rule that needs it, and then the
 * addresses of captured connections are no longer translated, which leaves both ends waiting.
 */
export function jumpRemovalInput(observed: RuleSet): string {
  const jumps = meshRules(observed).rules.filter((rule) => builtinChains.has(rule.chain));
  let input = '';
  for (const table of ['raw', 'nat'] as const) {
    const inTable = jumps.filter((rule) => rule.table === table);
    if (inTable.length > 0) input += [`*${table}`, ...inTable.map(removal), 'COMMIT', ''].join('\n');
  }
  return input;
}

function addition({ chain, spec }: Rule): string {
  return builtinChains.has(chain) ? `-I ${chain} 1 ${spec}` : `-A ${chain} ${spec}`;
}

function removal({ chain, spec }: Rule): string {
  return `-D ${chain} ${spec}`;
}
