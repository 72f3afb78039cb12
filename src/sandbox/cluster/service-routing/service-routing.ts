import { untilAborted } from '../../../system/until.js';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../../errors/mesh-error.js';
import type { KubeClient } from '../../../kube/client.js';
import { endpointSlices, services } from '../../../kube/resource.js';
import type { EndpointSlice, Service } from '../../../kube/types.js';
import { openNetns } from '../../../system/netns.js';
import { closeFd } from '../../../system/socket.js';
import { createLogger } from '../../../telemetry/log.js';
import { ClusterCaches, sharedSignal } from '../cache/cluster-caches.js';
import { applyTables, removeTables } from './applier.js';
import { renderTables } from './rules.js';
import { type RoutingNode, serviceRoutes } from './service-port.js';

/** Changes are gathered this long before they are applied together. */
const debounceMs = 20;
/** Rules are compared with the wanted ones this often even without a change. */
const resyncMs = 30_000;
const retryMinMs = 200;
const retryMaxMs = 10_000;

/** All pods of a sandbox live in here. */
const podNetworkDefault = '10.244.0.0/16';

export interface ServiceRoutingOptions {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  /** The node the rules are for; leave it out for the root namespace, where no endpoint is local. */
  readonly node?: { readonly name: string; readonly podCidr?: string; readonly ip?: string };
  /** Network namespace fd; default: the process's own. Needed at the start, and for `remove`. */
  readonly netns?: number;
  /** Every pod's network; default 10.244.0.0/16. */
  readonly podNetwork?: string;
  readonly caches?: ClusterCaches;
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
  const allServices = caches.of<Service>(services);
  const allSlices = caches.of<EndpointSlice>(endpointSlices);
  const node: RoutingNode = { name: o.node?.name, podNetwork: o.podNetwork ?? podNetworkDefault };
  const where = o.node?.name ?? 'root';
  const wake = new Wake();
  const unsubscribe = [allServices.onChange(() => wake.fire()), allSlices.onChange(() => wake.fire())];
  let markReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });
  const loop = async (): Promise<void> => {
    await Promise.race([caches.synced(), wait(Number.POSITIVE_INFINITY, signal)]);
    let applied = '';
    let appliedAt = 0;
    let backoffMs = retryMinMs;
    while (!signal.aborted) {
      const tables = renderTables(
        serviceRoutes({ services: allServices.list(), slices: allSlices.list(), node }),
        node,
      );
      const text = JSON.stringify(tables);
      try {
        if (text !== applied || Date.now() - appliedAt >= resyncMs) {
          await applyTables(tables, { netns });
          if (text !== applied) log.debug('rules applied', { node: where, rules: tables[0]?.rules.length });
          applied = text;
          appliedAt = Date.now();
        }
        backoffMs = retryMinMs;
        markReady();
        await wake.wait(resyncMs, signal);
        await wait(debounceMs, signal);
      } catch (error) {
        log.warn('rules not applied', { node: where, error: messageOf(error) });
        await wait(backoffMs, signal);
        backoffMs = Math.min(backoffMs * 2, retryMaxMs);
      }
    }
    for (const stop of unsubscribe) stop();
    if (netns !== undefined) closeFd(netns);
  };
  return { ready, done: loop(), remove: () => removeTables({ netns: o.netns }) };
}

/** Lets a loop sleep until something changed; changes while it works are not lost. */
class Wake {
  #isPending = false;
  #resolve: (() => void) | undefined;

  fire(): void {
    this.#isPending = true;
    this.#resolve?.();
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isPending) {
      const fired = new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      const timer = new AbortController();
      await Promise.race([fired, wait(ms, AbortSignal.any([signal, timer.signal]))]);
      timer.abort();
      this.#resolve = undefined;
    }
    this.#isPending = false;
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  if (Number.isFinite(ms)) {
    await delay(ms, undefined, { signal }).catch(() => undefined);
    return;
  }
  await untilAborted(signal);
}
