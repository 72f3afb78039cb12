import { messageOf } from '../../../errors/mesh-error.js';
import type { KubeClient } from '../../../kube/client.js';
import { createLogger } from '../../../telemetry/log.js';
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
 * Service routing and network policies of one node during one of its runs. Pods may
 * come before the cluster's part is there: they wait for it.
 */
export class NodeNetwork {
  readonly #node: string;
  readonly #enforcer: Promise<PolicyEnforcer>;
  #start: (enforcer: PolicyEnforcer) => void = () => undefined;

  constructor(node: string) {
    this.#node = node;
    this.#enforcer = new Promise((resolve) => {
      this.#start = resolve;
    });
  }

  /** Writes rules into the node's network namespace until the signal ends. */
  async run(deps: NetworkDeps, { netns, signal }: { netns: number; signal: AbortSignal }): Promise<void> {
    const logger = createLogger('node');
    const node = this.#node;
    const failed = (what: string) => (error: unknown) =>
      logger.error(`${what} ended`, { node, error: messageOf(error) });
    const { podNetworks } = deps.plan;
    const routing = startServiceRouting({ ...deps, signal, node: { name: node }, netns, podNetworks });
    const enforcer = startPolicyEnforcer({
      model: deps.policies,
      signal,
      node,
      netns,
      families: deps.plan.families.map((each) => each.family),
    });
    this.#start(enforcer);
    await Promise.all([
      routing.done.catch(failed('service routing')),
      enforcer.done.catch(failed('network policy')),
    ]);
  }

  /** Resolves when the policies that select a pod are in force; its containers may start then. */
  async attached(pod: PodObject, ips: readonly string[]): Promise<void> {
    await (await this.#enforcer).attached(pod, ips);
  }
}
