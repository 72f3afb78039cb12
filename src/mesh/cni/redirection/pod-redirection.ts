import { ipFamilyOf } from '#base/net/address.js';
import { isInRange } from '#base/net/ranges.js';
import { run } from '#base/system/run.js';
import { type IptablesBackend, type IptablesTarget, restoreRules } from './iptables.js';
import { setLoosePickup } from './loose-pickup.js';
import { addressesInNetns, ipv6StateIn } from './netns-view.js';
import { overridingRules } from './overriding-rules.js';
import { compareRules, describeRule, meshRules, type PodRuleOptions, podRules } from './pod-rules.js';
import { type FamilyState, readPodState } from './pod-state.js';
import { addPolicyRouting, type PolicyRoutingState, removePolicyRouting } from './policy-routing.js';
import { jumpRemovalInput, restoreInput } from './restore-format.js';
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
  /** Rules of others that come before ours and can end the way of a packet; {@link PodRedirection.apply} goes before them. */
  readonly ahead: readonly string[];
  /** Rules of others that defeat ours wherever those stand. */
  readonly immovable: readonly string[];
  /** Everything of the mesh that is there, wanted or not. */
  readonly present: readonly string[];
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

  /** Brings the namespace to the wanted state; returns what it was before. Throws MESH0701, MESH0702. */
  async apply(netns: number, rules: PodRuleOptions, signal?: AbortSignal): Promise<RedirectionState> {
    const target = this.#target(netns, signal);
    const state = await readPodState(target, this.#families(netns));
    for (const [family, { rules: observed, routing }] of state) {
      if (routingMissing(netns, family, routing).length > 0) {
        // Runtimes bring lo up before they call CNI plugins; without it the local route is refused.
        await run('ip', ['link', 'set', 'lo', 'up'], { netns });
        await addPolicyRouting(netns, family, routing, { wantsRoute: wantsRoute(netns, family) });
      }
      const wanted = podRules(family, rules);
      const delta = compareRules(wanted, observed);
      const isBehind = overridingRules(wanted, observed).ahead.length > 0;
      if (delta.missing.length > 0 || delta.unexpected.length > 0 || isBehind) {
        await restoreRules(target, family, restoreInput(wanted, observed));
      }
    }
    return compareState(netns, state, rules);
  }

  /** Compares without changing anything. Throws MESH0701 when the namespace cannot be read. */
  async inspect(netns: number, rules: PodRuleOptions, signal?: AbortSignal): Promise<RedirectionState> {
    const state = await readPodState(this.#target(netns, signal), this.#families(netns));
    return compareState(netns, state, rules);
  }

  /**
   * Addresses of a pod whose traffic no rule can capture, because IPv6 is switched off for
   * the mesh or the node has no IPv6 NAT: it goes past the proxy as if there were no mesh.
   */
  uncaptured(netns: number): readonly string[] {
    if (this.#options.ipv6) return [];
    return [...addressesInNetns(netns)].filter(
      (ip) => ipFamilyOf(ip) === 'IPv6' && !isInRange(ip, 'loopback', 'linkLocal'),
    );
  }

  /**
   * Captures no new connection any more; those that were captured go on through the proxy.
   * To be followed by {@link remove} once the proxy has ended them.
   */
  async endCapture(netns: number, signal?: AbortSignal): Promise<void> {
    const target = this.#target(netns, signal);
    for (const [family, { rules }] of await readPodState(target, this.#families(netns))) {
      await restoreRules(target, family, jumpRemovalInput(rules));
    }
  }

  /** Removes everything of the mesh from the namespace: rules, routing, then the kernel setting. */
  async remove(netns: number, signal?: AbortSignal): Promise<void> {
    const target = this.#target(netns, signal);
    for (const [family, { rules, routing }] of await readPodState(target, this.#families(netns))) {
      await restoreRules(target, family, restoreInput([], rules));
      await removePolicyRouting(netns, family, routing);
    }
    await setLoosePickup(netns, true);
  }

  /** Rules and routes of the mesh found in the namespace, in words; empty when it is clean. */
  async leftovers(netns: number, signal?: AbortSignal): Promise<readonly string[]> {
    return presentIn(await readPodState(this.#target(netns, signal), this.#families(netns)));
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

function compareState(
  netns: number,
  state: ReadonlyMap<Family, FamilyState>,
  rules: PodRuleOptions,
): RedirectionState {
  const missing: string[] = [];
  const unexpected: string[] = [];
  const ahead: string[] = [];
  const immovable: string[] = [];
  for (const [family, { rules: observed, routing }] of state) {
    const wanted = podRules(family, rules);
    const delta = compareRules(wanted, observed);
    const overriding = overridingRules(wanted, observed);
    ahead.push(...labeled(family, overriding.ahead.map(describeRule)));
    immovable.push(...labeled(family, overriding.immovable.map(describeRule)));
    missing.push(...labeled(family, [...routingMissing(netns, family, routing), ...delta.missing]));
    unexpected.push(...labeled(family, delta.unexpected));
  }
  return { missing, unexpected, ahead, immovable, present: presentIn(state) };
}

/** Rules, chains and routes of the mesh, in words. */
function presentIn(state: ReadonlyMap<Family, FamilyState>): readonly string[] {
  return [...state].flatMap(([family, { rules, routing }]) => {
    const ours = meshRules(rules);
    return labeled(family, [
      ...ours.rules.map(describeRule),
      ...[...ours.chains].map((name) => `chain ${name}`),
      ...(routing.rule ? ['ip rule fwmark 0x111'] : []),
      ...(routing.route ? ['ip route table 100'] : []),
    ]);
  });
}

function routingMissing(netns: number, family: Family, state: PolicyRoutingState): readonly string[] {
  const missing: string[] = [];
  if (!state.route && wantsRoute(netns, family)) missing.push('ip route table 100');
  if (!state.rule) missing.push('ip rule fwmark 0x111');
  return missing;
}

/** Where lo has IPv6 switched off, the kernel refuses a local IPv6 route. */
function wantsRoute(netns: number, family: Family): boolean {
  return family === 'v4' || ipv6StateIn(netns) !== 'noLoopback';
}

function labeled(family: Family, lines: readonly string[]): readonly string[] {
  return lines.map((line) => `${family}: ${line}`);
}
