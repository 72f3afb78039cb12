import { createHash } from 'node:crypto';
import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { type ChainTable, parseTables, type PresentTable, renderTable } from './chain-table.js';
import type { IpFamily } from '#base/net/address.js';
import { tablePrograms } from './family.js';

const timeoutMs = 30_000;
const lockWaitSeconds = '10';

export interface ChainApplierOptions {
  readonly family: IpFamily;
  /** Network namespace; default: the process's own. */
  readonly netns: number | undefined;
  /** Only chains with this prefix are ever touched or removed. */
  readonly prefix: string;
}

/** What was written last, by table: a digest of each chain's rules and their number. */
type Written = ReadonlyMap<string, ReadonlyMap<string, { readonly digest: string; readonly count: number }>>;

/**
 * Keeps one owner's chains in one family's tables at the wanted state. Every apply is
 * one iptables-restore transaction per table with only the chains that changed:
 * packets see the old rules or the new ones, never half. Other people's rules stay.
 */
export class ChainApplier {
  readonly #o: ChainApplierOptions;
  #written: Written | undefined;
  /** The very objects that were written last. */
  #tables: readonly ChainTable[] = [];
  #jumps: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(options: ChainApplierOptions) {
    this.#o = options;
  }

  /** Brings the tables to the wanted state; true when something was written. Throws MESH0830 with iptables' own words. */
  async apply(tables: readonly ChainTable[]): Promise<boolean> {
    const isSame = tables.length === this.#tables.length && tables.every((t, i) => t === this.#tables[i]);
    if (isSame && this.#written !== undefined) return false;
    const wanted = digests(tables);
    const written = this.#written ?? (await this.#observe(tables));
    const input = tables
      .map((table) => {
        const want = wanted.get(table.name) ?? new Map();
        const have = written.get(table.name) ?? new Map();
        return renderTable(table, {
          rewrite: [...want.keys()].filter((chain) => have.get(chain)?.digest !== want.get(chain)?.digest),
          stale: [...have.keys()].filter((chain) => !want.has(chain)),
          presentJumps: this.#jumps.get(table.name) ?? [],
        });
      })
      .join('');
    if (input !== '') {
      this.#written = undefined; // unknown until it has worked
      await this.#restore(input);
    }
    this.#written = wanted;
    this.#tables = tables;
    this.#jumps = new Map(
      tables.map((t) => [t.name, t.jumps.map(({ from, to }) => `${from} -j ${to}`)] as const),
    );
    return input !== '';
  }

  /**
   * Looks whether everything written last is still there, rule by rule counted. When
   * somebody took something away, the next {@link apply} writes all of it again.
   */
  async verify(): Promise<boolean> {
    const written = this.#written;
    if (written === undefined) return false;
    const present = await this.#save();
    for (const [table, chains] of written) {
      const have = present.get(table);
      const isComplete =
        [...chains].every(([chain, { count }]) => have?.chains.get(chain) === count) &&
        (this.#jumps.get(table) ?? []).length === (have?.jumps.length ?? 0);
      if (isComplete) continue;
      this.#written = undefined;
      return false;
    }
    return true;
  }

  /** Takes away every chain of the owner and the jumps into them. */
  async remove(): Promise<void> {
    this.#written = undefined;
    const empty = ['nat', 'filter'] as const;
    await this.apply(empty.map((name) => ({ name, chains: new Map(), jumps: [] })));
  }

  /** Chains that are there from an earlier run: their content counts as unknown. */
  async #observe(tables: readonly ChainTable[]): Promise<Written> {
    const present = await this.#save();
    this.#jumps = new Map([...present].map(([name, table]) => [name, table.jumps]));
    return new Map(
      tables.map(({ name }) => {
        const chains = [...(present.get(name)?.chains ?? [])];
        return [name, new Map(chains.map(([chain, count]) => [chain, { digest: '', count }]))];
      }),
    );
  }

  async #save(): Promise<ReadonlyMap<string, PresentTable>> {
    const { save } = tablePrograms(this.#o.family);
    const result = await run(save, [], { timeoutMs, netns: this.#o.netns });
    if (result.exitCode !== 0) throw failure(save, result.stderr);
    return parseTables(result.stdout, this.#o.prefix);
  }

  async #restore(input: string): Promise<void> {
    const { restore } = tablePrograms(this.#o.family);
    const args = ['--noflush', '-w', lockWaitSeconds];
    const result = await run(restore, args, { input, timeoutMs, netns: this.#o.netns });
    if (result.exitCode !== 0) throw failure(restore, result.stderr);
  }
}

function digests(tables: readonly ChainTable[]): Written {
  return new Map(
    tables.map((table) => [
      table.name,
      new Map(
        [...table.chains].map(([chain, rules]) => {
          const digest = createHash('sha1').update(rules.join('\n')).digest('base64');
          return [chain, { digest, count: rules.length }];
        }),
      ),
    ]),
  );
}

function failure(command: string, stderr: string): MeshError {
  // The program's words are part of the message: it becomes a pod's event.
  const reason = `${command}: ${stderr.trim()}`;
  return new MeshError('MESH0830', `the rules of the cluster's network could not be applied: ${reason}`);
}
