/** A built-in chain's rule that leads into one of ours. */
export interface Jump {
  /** The built-in chain. */
  readonly from: string;
  /** Matches before `-j`, or nothing. */
  readonly match?: string;
  readonly to: string;
}

/** What one table should hold of ours: whole chains, and the jumps that lead into them. */
export interface ChainTable {
  readonly name: 'nat' | 'filter';
  /** Rules by chain, without `-A CHAIN`; every chain has the owner's prefix. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly jumps: readonly Jump[];
}

/** What iptables-save shows of one table, as far as it concerns one owner. */
export interface PresentTable {
  /** Number of rules by chain. */
  readonly chains: ReadonlyMap<string, number>;
  /** Rules of other chains that jump into the owner's, exactly as printed, without `-A `. */
  readonly jumps: readonly string[];
}

/** Reads the output of iptables-save; only chains that start with `prefix` are the owner's. */
export function parseTables(text: string, prefix: string): ReadonlyMap<string, PresentTable> {
  const tables = new Map<string, { chains: Map<string, number>; jumps: string[] }>();
  let table = { chains: new Map<string, number>(), jumps: [] as string[] };
  const jump = new RegExp(` -[jg] ${prefix}\\S+$`);
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = { chains: new Map(), jumps: [] };
      tables.set(line.slice(1).trim(), table);
    } else if (line.startsWith(`:${prefix}`)) {
      table.chains.set(line.slice(1).split(' ', 1)[0] ?? '', 0);
    } else if (line.startsWith(`-A ${prefix}`)) {
      const chain = line.slice(3).split(' ', 1)[0] ?? '';
      table.chains.set(chain, (table.chains.get(chain) ?? 0) + 1);
    } else if (line.startsWith('-A ') && jump.test(line.trimEnd())) {
      table.jumps.push(line.slice(3).trim());
    }
  }
  return tables;
}

/**
 * The input of `iptables-restore --noflush` for one table: `rewrite` names the wanted
 * chains to write, `stale` those to remove, and the jumps are brought to the wanted
 * ones. Empty when there is nothing to do.
 */
export function renderTable(
  table: ChainTable,
  o: {
    readonly rewrite: readonly string[];
    readonly stale: readonly string[];
    /** Jumps that are there, as iptables-save prints them. */
    readonly presentJumps: readonly string[];
  },
): string {
  const missing = new Set(table.jumps);
  const surplus: string[] = [];
  for (const present of o.presentJumps) {
    const match = [...missing].find((each) => isSameJump(each, present));
    if (match === undefined) surplus.push(present);
    else missing.delete(match);
  }
  if (o.rewrite.length + o.stale.length + missing.size + surplus.length === 0) return '';
  const lines = [`*${table.name}`];
  // Naming a chain creates it, or empties it when it is there.
  for (const chain of [...o.rewrite, ...o.stale]) lines.push(`:${chain} - [0:0]`);
  for (const jump of surplus) lines.push(`-D ${jump}`);
  for (const chain of o.rewrite) {
    for (const rule of table.chains.get(chain) ?? []) lines.push(`-A ${chain} ${rule}`);
  }
  // First in the chain: other people's rules must not hide ours.
  for (const { from, match, to } of [...missing].toReversed())
    lines.push(`-I ${from} 1 ${match === undefined ? '' : `${match} `}-j ${to}`);
  for (const chain of o.stale) lines.push(`-X ${chain}`);
  lines.push('COMMIT');
  return `${lines.join('\n')}\n`;
}

/** The same built-in chain jumping to the same chain of ours. */
function isSameJump(jump: Jump, present: string): boolean {
  return present.startsWith(`${jump.from} `) && present.endsWith(` -j ${jump.to}`);
}
