import { MeshError } from '../../../errors/mesh-error.js';
import { run } from '../../../system/run.js';
import type { Table } from './rules.js';

/** Only chains with this prefix are ever touched or removed. */
const ownPrefix = 'KUBE-';
const timeoutMs = 20_000;

/** Where the rules go: the network namespace of a node, or the caller's own. */
export interface ApplyTarget {
  readonly netns: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Replaces our chains in one iptables-restore transaction: packets see the old
 * rules or the new ones, never half. Chains that are no longer wanted go, other
 * people's rules stay. Throws MESH0830 with iptables' own words.
 */
export async function applyTables(tables: readonly Table[], target: ApplyTarget): Promise<void> {
  const present = parseSave(await save(target));
  await restore(renderRestore(tables, present), target);
}

/** Takes away every chain of ours and the jumps into them. */
export async function removeTables(target: ApplyTarget): Promise<void> {
  const present = parseSave(await save(target));
  const empty: Table[] = ['nat', 'filter'].map((name) => ({
    name: name === 'nat' ? 'nat' : 'filter',
    chains: [],
    rules: [],
    jumps: [],
  }));
  await restore(renderRestore(empty, present), target);
}

/** What iptables-save shows of one table, as far as it concerns us. */
export interface PresentTable {
  readonly chains: ReadonlySet<string>;
  /** Rules of built-in chains that jump into our chains, exactly as printed, without `-A `. */
  readonly jumps: readonly string[];
}

/** Reads the output of iptables-save. */
export function parseSave(text: string): ReadonlyMap<string, PresentTable> {
  const tables = new Map<string, { chains: Set<string>; jumps: string[] }>();
  let table = { chains: new Set<string>(), jumps: [] as string[] };
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = { chains: new Set(), jumps: [] };
      tables.set(line.slice(1).trim(), table);
    } else if (line.startsWith(`:${ownPrefix}`)) {
      table.chains.add(line.slice(1).split(' ', 1)[0] ?? '');
    } else if (line.startsWith('-A ') && !line.startsWith(`-A ${ownPrefix}`)) {
      if (new RegExp(`-j ${ownPrefix}\\S+$`).test(line.trim())) table.jumps.push(line.slice(3).trim());
    }
  }
  return tables;
}

/** The input of `iptables-restore --noflush` that turns what is present into what is wanted. */
export function renderRestore(tables: readonly Table[], present: ReadonlyMap<string, PresentTable>): string {
  const lines: string[] = [];
  for (const table of tables) {
    const now = present.get(table.name) ?? { chains: new Set<string>(), jumps: [] };
    const wanted = new Set(table.chains);
    const stale = [...now.chains].filter((chain) => !wanted.has(chain));
    lines.push(`*${table.name}`);
    // Naming a chain creates it, or empties it when it is there.
    for (const chain of [...table.chains, ...stale]) lines.push(`:${chain} - [0:0]`);
    const missing = new Set(table.jumps);
    for (const jump of now.jumps) {
      const match = [...missing].find((each) => isSameJump(each, jump));
      if (match === undefined) lines.push(`-D ${jump}`);
      else missing.delete(match);
    }
    for (const rule of table.rules) lines.push(`-A ${rule}`);
    // First in the chain, as upstream: other people's rules must not hide services.
    for (const jump of missing) lines.push(`-I ${jump.replace(' ', ' 1 ')}`);
    for (const chain of stale) lines.push(`-X ${chain}`);
    lines.push('COMMIT');
  }
  return `${lines.join('\n')}\n`;
}

/** The same built-in chain jumping to the same chain of ours. */
function isSameJump(a: string, b: string): boolean {
  const ends = (rule: string): string =>
    `${rule.split(' ', 1)[0] ?? ''} ${rule.slice(rule.lastIndexOf(' ') + 1)}`;
  return ends(a) === ends(b);
}

async function save(target: ApplyTarget): Promise<string> {
  const result = await run('iptables-save', [], { timeoutMs, netns: target.netns, signal: target.signal });
  if (result.exitCode !== 0) throw failure('iptables-save', result.stderr);
  return result.stdout;
}

async function restore(input: string, target: ApplyTarget): Promise<void> {
  const result = await run('iptables-restore', ['--noflush', '-w', '10'], {
    input,
    timeoutMs,
    netns: target.netns,
    signal: target.signal,
  });
  if (result.exitCode !== 0) throw failure('iptables-restore', result.stderr);
}

function failure(command: string, stderr: string): MeshError {
  return new MeshError('MESH0830', `the rules for services could not be applied: ${command} failed`, {
    evidence: stderr.trim(),
  });
}
