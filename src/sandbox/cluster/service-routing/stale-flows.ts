import { messageOf } from '#base/errors/mesh-error.js';
import { forgetFlows, type FlowTuple } from '../../base/conntrack.js';
import type { Logger } from '#base/telemetry/log.js';
import type { IpFamily } from '#base/net/address.js';
import type { ServiceRoute } from './service-route.js';

const udp = 17;

/**
 * UDP has no connections that end: a client that keeps sending from one port would be
 * sent to a vanished endpoint, or past the service, for as long as the kernel remembers.
 * Forgets the flows whose endpoint no route has any more.
 */
export class StaleFlows {
  readonly #o: { readonly netns: number | undefined; readonly family: IpFamily; readonly log: Logger };
  #digest = '';

  constructor(o: { readonly netns: number | undefined; readonly family: IpFamily; readonly log: Logger }) {
    this.#o = o;
  }

  /** To be called after the routes' rules are in place. */
  clear(routes: readonly ServiceRoute[]): void {
    const targets = udpTargets(routes);
    const digest = JSON.stringify([...targets].map(([key, ips]) => [key, [...ips]]));
    if (digest === this.#digest) return;
    const isFirst = this.#digest === '';
    this.#digest = digest;
    // A fresh namespace has no flows, and most clusters no UDP service but DNS.
    if (isFirst) return;
    try {
      const { netns, family } = this.#o;
      forgetFlows({ netns, family, isStale: ({ original, reply }) => isStale(targets, original, reply) });
    } catch (error) {
      this.#o.log.warn('stale UDP flows were not removed', { error: messageOf(error) });
    }
  }
}

/** Endpoint addresses by `address port` of the services, node ports without address. */
function udpTargets(routes: readonly ServiceRoute[]): Map<string, Set<string>> {
  const targets = new Map<string, Set<string>>();
  for (const route of routes) {
    if (route.protocol !== 'udp') continue;
    const ips = new Set([...route.backends, ...route.localBackends].map((backend) => backend.ip));
    for (const ip of [route.clusterIp, ...route.externalIps, ...route.loadBalancerIps])
      targets.set(`${ip} ${route.port}`, ips);
    if (route.nodePort !== undefined) targets.set(` ${route.nodePort}`, ips);
  }
  return targets;
}

function isStale(
  targets: ReadonlyMap<string, ReadonlySet<string>>,
  original: FlowTuple,
  reply: FlowTuple,
): boolean {
  if (original.protocol !== udp) return false;
  const ips =
    targets.get(`${original.destination} ${original.destinationPort}`) ??
    targets.get(` ${original.destinationPort}`);
  return ips !== undefined && !ips.has(reply.source);
}
