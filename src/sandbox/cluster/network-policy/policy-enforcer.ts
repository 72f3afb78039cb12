import { messageOf } from '#base/errors/mesh-error.js';
import { openNetns } from '#base/system/netns.js';
import { closeFd } from '#base/system/socket.js';
import { untilDoneOrAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { sharedSignal } from '../cache/cluster-caches.js';
import { ChainApplier } from '../netfilter/chain-applier.js';
import type { IpFamily } from '#base/net/address.js';
import { RuleLoop } from '../netfilter/rule-loop.js';
import type { PolicyModel } from './policy-model.js';
import { policyChainPrefix } from './policy-rules.js';
import { blockEntries, type PodObject, type SetSpec, setType } from './pod-set.js';
import { SetWriter, type WantedSet } from './set-writer.js';

export interface PolicyEnforcerOptions {
  readonly model: PolicyModel;
  readonly signal: AbortSignal;
  /** The node whose pods are protected. */
  readonly node: string;
  /** The node's network namespace; needed at the start only. Default: the process's own. */
  readonly netns?: number | undefined;
  readonly families: readonly IpFamily[];
}

/** Enforces NetworkPolicies for the pods of one node. */
export interface PolicyEnforcer {
  /** Resolves after the first complete pass. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended after the signal; rules stay with the namespace. */
  readonly done: Promise<void>;
  /**
   * To be called between a pod's network and its containers: resolves when the policies
   * that select it are in force. Rejects with MESH0830 or MESH0831 when they cannot be.
   */
  attached(pod: PodObject, ips: readonly string[]): Promise<void>;
}

/** Starts to enforce; touches nothing until the first policy exists. */
export function startPolicyEnforcer(o: PolicyEnforcerOptions): PolicyEnforcer {
  const { model } = o;
  const signal = sharedSignal(o.signal);
  const netns = o.netns === undefined ? undefined : openNetns(`/proc/self/fd/${o.netns}`);
  const sides = o.families.map((family) => new FamilySide({ model, node: o.node, netns, family }));
  const log = createLogger('cluster::network-policy');
  const loop = new RuleLoop({
    apply: async () => {
      for (const side of sides) await side.apply();
    },
    verify: async () => {
      for (const side of sides) await side.verify();
    },
    onError: (error) => log.warn('policies not applied', { node: o.node, error: messageOf(error) }),
  });
  const unsubscribe = model.onChange(() => loop.wake());
  const run = async (): Promise<void> => {
    await untilDoneOrAborted(model.synced, signal);
    await loop.run(signal);
    unsubscribe();
    if (netns !== undefined) closeFd(netns);
  };
  return {
    ready: loop.ready,
    done: run(),
    attached: async (pod, ips) => {
      await untilDoneOrAborted(model.synced, signal);
      model.attached(pod, ips);
      if (!model.isEmpty) await untilDoneOrAborted(loop.flush(), signal);
    },
  };
}

/** Sets and rules of one family on one node. */
class FamilySide {
  readonly #o: { readonly model: PolicyModel; readonly node: string; readonly family: IpFamily };
  readonly #sets: SetWriter;
  readonly #chains: ChainApplier;
  /** Version of the members that were written last, by set. */
  readonly #versions = new Map<string, number>();
  #isTouched = false;

  constructor(o: {
    readonly model: PolicyModel;
    readonly node: string;
    readonly netns: number | undefined;
    readonly family: IpFamily;
  }) {
    this.#o = o;
    this.#sets = new SetWriter({ family: o.family, netns: o.netns });
    this.#chains = new ChainApplier({ family: o.family, netns: o.netns, prefix: policyChainPrefix });
  }

  /** Sets first, then the rules that use them, then what no rule uses any more. */
  async apply(): Promise<void> {
    const { model, family } = this.#o;
    if (model.isEmpty && !this.#isTouched) return;
    this.#isTouched = true;
    const { table, sets, isolating } = model.rules(family);
    const changed = new Map<string, WantedSet>();
    const versions = new Map<string, number>();
    for (const [name, spec] of sets) {
      const version = spec.kind === 'block' ? 0 : model.index.version(spec);
      if (this.#sets.has(name) && this.#versions.get(name) === version) continue;
      versions.set(name, version);
      changed.set(name, {
        type: setType(spec),
        entries: this.#entries(spec),
        isIsolating: isolating.has(name),
      });
    }
    await this.#sets.write(changed);
    for (const [name, version] of versions) this.#versions.set(name, version);
    await this.#chains.apply([table]);
    await this.#sets.retain(new Set(sets.keys()));
    for (const name of this.#versions.keys()) if (!sets.has(name)) this.#versions.delete(name);
  }

  async verify(): Promise<void> {
    if (this.#isTouched) await this.#chains.verify();
  }

  #entries(spec: SetSpec): string[] {
    const { model, family, node } = this.#o;
    return spec.kind === 'block' ? blockEntries(spec, family) : model.index.entries(spec, family, node);
  }
}
