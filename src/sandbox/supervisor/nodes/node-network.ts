import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { createLogger } from '#base/telemetry/log.js';
import {
  type ClusterCaches,
  type PodObject,
  type PolicyEnforcer,
  type PolicyModel,
  startPolicyEnforcer,
  startServiceRouting,
} from '../../cluster/index.js';
import type { NetworkPlan } from '../network-plan.js';

/** What the nodes' networks need of the cluster. */
export interface NetworkDeps {
  readonly client: KubeClient;
  readonly caches: ClusterCaches;
  readonly policies: PolicyModel;
  readonly plan: NetworkPlan;
}

/**
 * Service routing and network policies of one node during one of its runs. Pods may come before the cluster's
 * part is there: they wait for it. While the node is cut off nobody tells it about services: its rules stay as
 * they are.
 */
export class NodeNetwork {
  readonly #node: string;
  readonly #logger = createLogger('node');
  readonly #enforcer: Promise<PolicyEnforcer>;
  #setEnforcer: (enforcer: PolicyEnforcer) => void = () => undefined;
  #isConnected: boolean;
  #startRouting: ((signal: AbortSignal) => Promise<void>) | undefined;
  #stopRouting = new AbortController();
  #routing: Promise<void> = Promise.resolve();

  constructor(o: { readonly node: string; readonly isConnected: boolean }) {
    this.#node = o.node;
    this.#isConnected = o.isConnected;
    this.#enforcer = new Promise((resolve) => {
      this.#setEnforcer = resolve;
    });
  }

  /** Writes rules into the node's network namespace until the signal ends. */
  async run(deps: NetworkDeps, { netns, signal }: { netns: number; signal: AbortSignal }): Promise<void> {
    const node = this.#node;
    const { podNetworks } = deps.plan;
    this.#startRouting = (connected) => {
      const both = AbortSignal.any([signal, connected]);
      return startServiceRouting({ ...deps, signal: both, node: { name: node }, netns, podNetworks }).done;
    };
    this.#route();
    const enforcer = startPolicyEnforcer({
      model: deps.policies,
      signal,
      node,
      netns,
      families: deps.plan.families.map((each) => each.family),
    });
    this.#setEnforcer(enforcer);
    await enforcer.done.catch((error: unknown) => this.#failed('network policy', error));
    await this.#routing;
  }

  /** Follows the node's cable. */
  setConnected(isConnected: boolean): void {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.#stopRouting.abort();
    this.#stopRouting = new AbortController();
    this.#route();
  }

  /** Resolves when the policies that select a pod are in force; its containers may start then. */
  async attached(pod: PodObject, ips: readonly string[]): Promise<void> {
    await (await this.#enforcer).attached(pod, ips);
  }

  /** One after the other: two writers of the same rules would undo each other's work. */
  #route(): void {
    const start = this.#startRouting;
    const { signal } = this.#stopRouting;
    if (!this.#isConnected || start === undefined) return;
    this.#routing = this.#routing
      .then(() => (signal.aborted ? undefined : start(signal)))
      .catch((error: unknown) => this.#failed('service routing', error));
  }

  #failed(what: string, error: unknown): void {
    this.#logger.error(`${what} ended`, { node: this.#node, error: messageOf(error) });
  }
}
