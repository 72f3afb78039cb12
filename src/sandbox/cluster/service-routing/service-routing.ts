import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { endpointSlices, nodes, services } from '#base/kube/resource.js';
import type { EndpointSlice, Node, Service } from '#base/kube/types.js';
import { openNetns } from '#base/system/netns.js';
import { closeFd } from '#base/system/socket.js';
import { untilDoneOrAborted } from '#base/system/until.js';
import { createLogger, type Logger } from '#base/telemetry/log.js';
import { ClusterCaches, sharedSignal } from '../cache/cluster-caches.js';
import { ChainApplier } from '../netfilter/chain-applier.js';
import { type IpFamily, familyOf } from '#base/net/address.js';
import { RuleLoop } from '../netfilter/rule-loop.js';
import { HealthChecks } from './health-checks.js';
import { serviceChainPrefix, serviceTables } from './rules.js';
import { isRoutedService, serviceRoutes } from './service-route.js';
import { StaleFlows } from './stale-flows.js';
import type { RoutingNode } from './routing-node.js';

const zoneLabel = 'topology.kubernetes.io/zone';
/** All pods of a sandbox live in here. */
const podNetworksDefault = ['10.244.0.0/16'];

export interface ServiceRoutingOptions {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  /** The node the rules are for; leave it out for the root namespace, where no endpoint is local. */
  readonly node?: { readonly name: string };
  /** Network namespace fd; default: the process's own. Needed at the start, and for `remove`. */
  readonly netns?: number;
  /** Every pod's network, one per IP family that is routed; default 10.244.0.0/16. */
  readonly podNetworks?: readonly string[];
  readonly caches?: ClusterCaches;
  /** Milliseconds between looks at what is there; default 30 000. */
  readonly verifyMs?: number;
}

/** A running router. */
export interface ServiceRouting {
  /** Resolves after the first complete set of rules is in place. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended after the signal. The rules stay, as kube-proxy's do; see `remove`. */
  readonly done: Promise<void>;
  /** Takes all its rules away; call it after `done`. */
  remove(): Promise<void>;
}

/**
 * Makes cluster IPs, node ports and load balancer addresses work in one network
 * namespace, the way kube-proxy does with iptables.
 */
export function startServiceRouting(o: ServiceRoutingOptions): ServiceRouting {
  // Our own fd: the caller may close his as soon as the signal is given, and numbers are used again.
  const netns = o.netns === undefined ? undefined : openNetns(`/proc/self/fd/${o.netns}`);
  const signal = sharedSignal(o.signal);
  const log = createLogger('cluster::service-routing');
  const caches = o.caches ?? new ClusterCaches({ client: o.client, signal });
  const podNetworks = o.podNetworks ?? podNetworksDefault;
  const where = o.node?.name ?? 'root';
  const allServices = caches.of<Service>(services);
  const allSlices = caches.of<EndpointSlice>(endpointSlices);
  const allNodes = o.node === undefined ? undefined : caches.of<Node>(nodes);
  const sides = podNetworks.map((podNetwork) => new FamilySide({ podNetwork, netns, log }));
  const healthHost = podNetworks.some((network) => familyOf(network) === 'IPv6') ? '::' : '0.0.0.0';
  const checks =
    o.node === undefined ? undefined : new HealthChecks({ node: o.node.name, netns, host: healthHost, log });
  const loop = new RuleLoop({
    apply: async () => {
      const zone = allNodes?.get(undefined, where)?.metadata.labels?.[zoneLabel];
      const node: RoutingNode = { name: o.node?.name, zone };
      const routed = allServices.list().filter(isRoutedService);
      const state = { services: routed, slices: allSlices.list(), node };
      for (const side of sides) await side.apply(state);
      checks?.sync(state.services, state.slices);
    },
    verify: async () => {
      for (const side of sides)
        if (!(await side.verify())) log.warn('rules were changed by somebody else', { node: where });
    },
    onError: (error) => log.warn('rules not applied', { node: where, error: messageOf(error) }),
    ...(o.verifyMs === undefined ? {} : { verifyMs: o.verifyMs }),
  });
  const unsubscribe = [
    allServices.onChange(() => loop.wake()),
    allSlices.onChange(() => loop.wake()),
    allNodes?.onChange(({ object, old }) => {
      const isMoved = object.metadata.labels?.[zoneLabel] !== old?.metadata.labels?.[zoneLabel];
      if (object.metadata.name === where && isMoved) loop.wake();
    }),
  ];
  const run = async (): Promise<void> => {
    await untilDoneOrAborted(caches.synced(), signal);
    await loop.run(signal);
    for (const stop of unsubscribe) stop?.();
    checks?.close();
    if (netns !== undefined) closeFd(netns);
  };
  return {
    ready: loop.ready,
    done: run(),
    remove: async () => {
      for (const network of podNetworks) await applierOf(familyOf(network), o.netns).remove();
    },
  };
}

interface ClusterState {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly node: RoutingNode;
}

/** Routing of one IP family in one network namespace. */
class FamilySide {
  readonly #podNetwork: string;
  readonly #family: IpFamily;
  readonly #chains: ChainApplier;
  readonly #flows: StaleFlows;

  constructor(o: { readonly podNetwork: string; readonly netns: number | undefined; readonly log: Logger }) {
    this.#podNetwork = o.podNetwork;
    this.#family = familyOf(o.podNetwork);
    this.#chains = applierOf(this.#family, o.netns);
    this.#flows = new StaleFlows({ netns: o.netns, family: this.#family, log: o.log });
  }

  async apply(state: ClusterState): Promise<void> {
    const family = this.#family;
    const routes = serviceRoutes({ ...state, family });
    await this.#chains.apply(serviceTables(routes, { family, podNetwork: this.#podNetwork }));
    this.#flows.clear(routes);
  }

  verify(): Promise<boolean> {
    return this.#chains.verify();
  }
}

function applierOf(family: IpFamily, netns: number | undefined): ChainApplier {
  return new ChainApplier({ family, netns, prefix: serviceChainPrefix });
}
