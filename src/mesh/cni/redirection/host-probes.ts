import { ipFamilyOf } from '#base/net/address.js';
import { type IptablesTarget, restoreRules, saveRules } from './iptables.js';
import { compareRules, describeRule, meshRules, postroutingChain, type ProbeAddresses } from './pod-rules.js';
import {
  addProbeEntry,
  createProbeSet,
  destroyProbeSet,
  listProbeEntries,
  listProbeSets,
  type ProbeEntry,
  probeAddressRule,
  probeSetRule,
  removeProbeEntry,
} from './probe-set.js';
import { restoreInput } from './restore-format.js';
import type { Family, Rule } from './rule.js';

export interface HostProbesOptions {
  /** The node's own namespace. */
  readonly target: IptablesTarget;
  readonly ipv6: boolean;
  readonly probes: ProbeAddresses;
  /** ipset is there and works; otherwise one rule per address is used. */
  readonly ipset: boolean;
}

/**
 * Lets kubelet probes reach captured pods: what a local socket of the node sends to
 * an enrolled pod gets the probe address as its source, which the pod's rules accept.
 * Forwarded traffic has no local socket and stays captured.
 */
export class HostProbes {
  readonly #options: HostProbesOptions;
  /** By address. */
  readonly #entries = new Map<string, ProbeEntry>();
  #last: Promise<void> = Promise.resolve();
  #isUninstalled = false;

  constructor(options: HostProbesOptions) {
    this.#options = options;
  }

  /** Creates rules and sets, or brings them back to the wanted state. Throws MESH0701, MESH0703. */
  install(): Promise<void> {
    return this.#alone(() => this.#install());
  }

  async #install(): Promise<void> {
    this.#isUninstalled = false;
    for (const family of this.#families()) {
      if (this.#options.ipset) {
        await createProbeSet(this.#netns, family);
        for (const entry of this.#entriesOf(family)) await addProbeEntry(this.#netns, family, entry);
      }
      await this.#writeRules(family);
    }
  }

  /** Drops entries of pods that an earlier agent left and this one does not know. */
  prune(): Promise<void> {
    return this.#alone(async () => {
      if (!this.#options.ipset) return;
      for (const family of this.#families()) {
        for (const entry of await listProbeEntries(this.#netns, family)) {
          if (!this.#entries.has(entry.ip)) await removeProbeEntry(this.#netns, family, entry);
        }
      }
    });
  }

  /** Lets probes of these addresses through. Repeatable. */
  add(uid: string, ips: readonly string[]): Promise<void> {
    return this.#alone(() => this.#add(uid, ips));
  }

  async #add(uid: string, ips: readonly string[]): Promise<void> {
    for (const ip of ips) {
      const family = familyOf(ip);
      if (!this.#families().includes(family)) continue;
      const known = this.#entries.get(ip);
      if (known?.uid === uid) continue;
      const entry = { ip, uid };
      this.#entries.set(ip, entry);
      if (this.#options.ipset) await addProbeEntry(this.#netns, family, entry);
      else await this.#writeRules(family);
    }
  }

  /** Ends that, for the addresses that still belong to the pod. */
  remove(uid: string, ips: readonly string[]): Promise<void> {
    return this.#alone(() => this.#remove(uid, ips));
  }

  async #remove(uid: string, ips: readonly string[]): Promise<void> {
    for (const ip of ips) {
      const family = familyOf(ip);
      if (!this.#families().includes(family)) continue;
      if (this.#entries.get(ip)?.uid === uid) this.#entries.delete(ip);
      if (this.#options.ipset) await removeProbeEntry(this.#netns, family, { ip, uid });
      else await this.#writeRules(family);
    }
  }

  /** What is missing on the host right now, in words; empty when all is in place. */
  async missing(): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const family of this.#families()) {
      const delta = compareRules(this.#rules(family), await saveRules(this.#options.target, family));
      missing.push(...delta.missing.map((rule) => `${family}: ${rule}`));
      if (!this.#options.ipset) continue;
      const have = await listProbeEntries(this.#netns, family);
      for (const entry of this.#entriesOf(family)) {
        if (!have.some((other) => other.ip === entry.ip && other.uid === entry.uid))
          missing.push(`${family}: ipset entry ${entry.ip}`);
      }
    }
    return missing;
  }

  /** Repairs what is missing, except after {@link uninstall}; returns what it repaired. */
  repair(): Promise<readonly string[]> {
    return this.#alone(async () => {
      if (this.#isUninstalled) return [];
      const missing = await this.missing();
      if (missing.length > 0) await this.#install();
      return missing;
    });
  }

  /** Removes rules and sets. */
  uninstall(): Promise<void> {
    return this.#alone(async () => {
      this.#isUninstalled = true;
      for (const family of this.#families()) {
        const observed = await saveRules(this.#options.target, family);
        await restoreRules(this.#options.target, family, restoreInput([], observed));
        if (this.#options.ipset) await destroyProbeSet(this.#netns, family);
      }
      this.#entries.clear();
    });
  }

  /** Rules and sets of the mesh found on the host, in words. */
  async leftovers(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const family of this.#families()) {
      const ours = meshRules(await saveRules(this.#options.target, family));
      found.push(...ours.rules.map((rule) => `${family}: ${describeRule(rule)}`));
      found.push(...[...ours.chains].map((name) => `${family}: chain ${name}`));
    }
    if (this.#options.ipset) {
      found.push(...(await listProbeSets(this.#netns)).map((name) => `ipset ${name}`));
    }
    return found;
  }

  /** One change at a time: two writers would each restore what the other had not yet written. */
  #alone<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  get #netns(): number {
    return this.#options.target.netns;
  }

  #families(): readonly Family[] {
    return this.#options.ipv6 ? ['v4', 'v6'] : ['v4'];
  }

  #entriesOf(family: Family): readonly ProbeEntry[] {
    return [...this.#entries.values()].filter((entry) => familyOf(entry.ip) === family);
  }

  #rules(family: Family): readonly Rule[] {
    const probe = this.#options.probes[family];
    const jump: Rule = { table: 'nat', chain: 'POSTROUTING', spec: `-j ${postroutingChain}` };
    if (this.#options.ipset) return [jump, probeSetRule(family, probe)];
    return [jump, ...this.#entriesOf(family).map((entry) => probeAddressRule(family, entry, probe))];
  }

  async #writeRules(family: Family): Promise<void> {
    const observed = await saveRules(this.#options.target, family);
    const wanted = this.#rules(family);
    const delta = compareRules(wanted, observed);
    if (delta.missing.length === 0 && delta.unexpected.length === 0) return;
    await restoreRules(this.#options.target, family, restoreInput(wanted, observed));
  }
}

function familyOf(ip: string): Family {
  return ipFamilyOf(ip) === 'IPv4' ? 'v4' : 'v6';
}
