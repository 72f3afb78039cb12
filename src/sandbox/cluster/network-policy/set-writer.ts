import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import type { IpFamily } from '#base/net/address.js';

const timeoutMs = 30_000;
/** Buckets a set begins with; most hold a handful of pods. */
const hashSize = 64;

/** A set as it should be. */
export interface WantedSet {
  readonly type: string;
  readonly entries: readonly string[];
  /** Its members are isolated: to be filled first and emptied last. */
  readonly isIsolating: boolean;
}

/** Keeps ipsets of one family in one network namespace at the wanted content. */
export class SetWriter {
  readonly #family: IpFamily;
  readonly #netns: number | undefined;
  /** What is there; undefined when a write failed half-way. */
  readonly #present = new Map<string, ReadonlySet<string> | undefined>();

  constructor(o: { readonly family: IpFamily; readonly netns: number | undefined }) {
    this.#family = o.family;
    this.#netns = o.netns;
  }

  has(name: string): boolean {
    return this.#present.get(name) !== undefined;
  }

  /**
   * Creates and fills sets, or writes the differences, in one run of ipset. Until it is
   * done a moved pod is isolated by both its old and its new policies. Throws MESH0831.
   */
  async write(sets: ReadonlyMap<string, WantedSet>): Promise<void> {
    const plan: Lines = { create: [], isolate: [], add: [], remove: [], release: [] };
    for (const [name, set] of sets) {
      const have = this.#present.get(name);
      if (have === undefined) this.#fresh(name, set, plan.create);
      else difference(name, set, have, plan);
    }
    const lines = [...plan.create, ...plan.isolate, ...plan.add, ...plan.remove, ...plan.release];
    if (lines.length === 0) return;
    for (const name of sets.keys()) this.#present.set(name, undefined);
    await this.#restore(lines);
    for (const [name, set] of sets) this.#present.set(name, new Set(set.entries));
  }

  /** Removes every set that is not in `wanted`; no rule may use them any more. */
  async retain(wanted: ReadonlySet<string>): Promise<void> {
    const stale = [...this.#present.keys()].filter((name) => !wanted.has(name));
    if (stale.length === 0) return;
    await this.#restore(stale.map((name) => `destroy ${name}`));
    for (const name of stale) this.#present.delete(name);
  }

  /** A set with unknown content is made anew beside the old one and takes its place at once. */
  #fresh(name: string, set: WantedSet, lines: string[]): void {
    const inet = this.#family === 'IPv4' ? 'inet' : 'inet6';
    const next = `${name}-n`;
    const create = `${set.type} family ${inet} hashsize ${hashSize}`;
    lines.push(`create ${name} ${create}`, `create ${next} ${create}`, `flush ${next}`);
    lines.push(...set.entries.map((entry) => `add ${next} ${entry}`));
    lines.push(`swap ${next} ${name}`, `destroy ${next}`);
  }

  async #restore(lines: readonly string[]): Promise<void> {
    const input = `${lines.join('\n')}\n`;
    const result = await run('ipset', ['restore', '-exist'], { input, timeoutMs, netns: this.#netns });
    if (result.exitCode === 0) return;
    // The program's words are part of the message: it becomes a pod's event.
    const reason = result.stderr.trim();
    throw new MeshError('MESH0831', `the address sets of network policies could not be written: ${reason}`);
  }
}

interface Lines {
  readonly create: string[];
  readonly isolate: string[];
  readonly add: string[];
  readonly remove: string[];
  readonly release: string[];
}

function difference(name: string, set: WantedSet, have: ReadonlySet<string>, lines: Lines): void {
  const want = new Set(set.entries);
  const add = set.isIsolating ? lines.isolate : lines.add;
  const remove = set.isIsolating ? lines.release : lines.remove;
  for (const entry of want) if (!have.has(entry)) add.push(`add ${name} ${entry}`);
  for (const entry of have) {
    // "nomatch" is a property of the entry, not part of its name.
    if (!want.has(entry)) remove.push(`del ${name} ${entry.replace(' nomatch', '')}`);
  }
}
