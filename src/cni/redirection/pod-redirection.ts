import { run } from '../../system/run.js';
import { type IptablesBackend, type IptablesTarget, restoreRules, saveRules } from './iptables.js';
import { setLoosePickup } from './loose-pickup.js';
import { ipv6StateIn } from './netns-view.js';
import { compareRules, describeRule, meshRules, type PodRuleOptions, podRules } from './pod-rules.js';
import { addPolicyRouting, readPolicyRouting, removePolicyRouting } from './policy-routing.js';
import { restoreInput } from './restore-format.js';
import type { Family } from './rule.js';

export interface PodRedirectionOptions {
  readonly backend: IptablesBackend;
  /** The node runs with IPv6 (AMBIENT_IPV6 and the kernel has it). */
  readonly ipv6: boolean;
  /** Directory for the per-namespace iptables lock files. */
  readonly lockDir: string;
}

/** Rules of a pod compared with what is in its namespace right now. */
export interface RedirectionState {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

/**
 * Redirection inside pods' network namespaces. Every operation reads the existing
 * state first and writes only the difference, so it can be repeated at any time.
 */
export class PodRedirection {
  readonly #options: PodRedirectionOptions;

  constructor(options: PodRedirectionOptions) {
    this.#options = options;
  }

  /**
   * To be called before {@link apply} on a pod that already runs: lets connections that
   * are established go on as they are. False when the kernel setting cannot be written.
   */
  spareEstablished(netns: number): Promise<boolean> {
    return setLoosePickup(netns, false);
  }

  /** Brings the namespace to the wanted state; returns what had been missing. Throws MESH0701, MESH0702. */
  async apply(netns: number, rules: PodRuleOptions, signal?: AbortSignal): Promise<RedirectionState> {
    const missing: string[] = [];
    const unexpected: string[] = [];
    for (const family of this.#families(netns)) {
      missing.push(...(await this.#applyRouting(netns, family)));
      const target = this.#target(netns, signal);
      const wanted = podRules(family, rules);
      const observed = await saveRules(target, family);
      const delta = compareRules(wanted, observed);
      missing.push(...labelled(family, delta.missing));
      unexpected.push(...labelled(family, delta.unexpected));
      if (delta.missing.length > 0 || delta.unexpected.length > 0) {
        await restoreRules(target, family, restoreInput(wanted, observed));
      }
    }
    return { missing, unexpected };
  }

  /** Compares without changing anything. Throws MESH0701 when the namespace cannot be read. */
  async inspect(netns: number, rules: PodRuleOptions, signal?: AbortSignal): Promise<RedirectionState> {
    const missing: string[] = [];
    const unexpected: string[] = [];
    for (const family of this.#families(netns)) {
      missing.push(...(await this.#missingRouting(netns, family)));
      const delta = compareRules(
        podRules(family, rules),
        await saveRules(this.#target(netns, signal), family),
      );
      missing.push(...labelled(family, delta.missing));
      unexpected.push(...labelled(family, delta.unexpected));
    }
    return { missing, unexpected };
  }

  /** Removes everything of the mesh from the namespace: rules, routing, then the kernel setting. */
  async remove(netns: number, signal?: AbortSignal): Promise<void> {
    for (const family of this.#families(netns)) {
      const target = this.#target(netns, signal);
      await restoreRules(target, family, restoreInput([], await saveRules(target, family)));
      await removePolicyRouting(netns, family);
    }
    await setLoosePickup(netns, true);
  }

  /** Rules and routes of the mesh found in the namespace, in words; empty when it is clean. */
  async leftovers(netns: number, signal?: AbortSignal): Promise<readonly string[]> {
    const found: string[] = [];
    for (const family of this.#families(netns)) {
      const ours = meshRules(await saveRules(this.#target(netns, signal), family));
      found.push(...labelled(family, ours.rules.map(describeRule)));
      found.push(
        ...labelled(
          family,
          [...ours.chains].map((name) => `chain ${name}`),
        ),
      );
      const routing = await readPolicyRouting(netns, family);
      if (routing.rule) found.push(`${family}: ip rule fwmark 0x111`);
      if (routing.route) found.push(`${family}: ip route table 100`);
    }
    return found;
  }

  async #applyRouting(netns: number, family: Family): Promise<readonly string[]> {
    const missing = await this.#missingRouting(netns, family);
    if (missing.length === 0) return missing;
    // Runtimes bring lo up before they call CNI plugins; without it the local route is refused.
    await run('ip', ['link', 'set', 'lo', 'up'], { netns });
    await addPolicyRouting(netns, family, { route: !missingLoopback(netns, family) });
    return missing;
  }

  async #missingRouting(netns: number, family: Family): Promise<readonly string[]> {
    const state = await readPolicyRouting(netns, family);
    const missing: string[] = [];
    if (!state.route && !missingLoopback(netns, family)) missing.push(`${family}: ip route table 100`);
    if (!state.rule) missing.push(`${family}: ip rule fwmark 0x111`);
    return missing;
  }

  #families(netns: number): readonly Family[] {
    return this.#options.ipv6 && ipv6StateIn(netns) !== 'none' ? ['v4', 'v6'] : ['v4'];
  }

  #target(netns: number, signal: AbortSignal | undefined): IptablesTarget {
    // One lock per run is enough: the callers never work twice on one namespace at a time.
    return {
      backend: this.#options.backend,
      netns,
      lockFile: `${this.#options.lockDir}/xtables-pod.lock`,
      signal,
    };
  }
}

function missingLoopback(netns: number, family: Family): boolean {
  return family === 'v6' && ipv6StateIn(netns) === 'noLoopback';
}

function labelled(family: Family, lines: readonly string[]): readonly string[] {
  return lines.map((line) => `${family}: ${line}`);
}
