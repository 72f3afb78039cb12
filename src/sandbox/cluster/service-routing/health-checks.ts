import { createServer, type Server } from 'node:http';
import { messageOf } from '#base/errors/mesh-error.js';
import type { EndpointSlice, Service } from '#base/kube/types.js';
import { listenTcp } from '#base/system/socket.js';
import type { Logger } from '#base/telemetry/log.js';
import { slicesByService } from './service-route.js';

interface Check {
  readonly namespace: string;
  readonly name: string;
  localEndpoints: number;
  readonly server: Server;
}

/**
 * Answers on the health check node ports of services with externalTrafficPolicy Local:
 * 200 when this node has an endpoint, 503 when a load balancer should try another node.
 */
export class HealthChecks {
  readonly #o: {
    readonly node: string;
    readonly netns: number | undefined;
    readonly host: string;
    readonly log: Logger;
  };
  readonly #checks = new Map<string, Check>();

  constructor(o: {
    readonly node: string;
    readonly netns: number | undefined;
    /** Address to listen on, `0.0.0.0` or `::`. */
    readonly host: string;
    readonly log: Logger;
  }) {
    this.#o = o;
  }

  /** Opens, updates and closes ports to match the services. */
  sync(services: readonly Service[], slices: readonly EndpointSlice[]): void {
    const wanted = services.filter((service) => (service.spec.healthCheckNodePort ?? 0) > 0);
    if (wanted.length === 0 && this.#checks.size === 0) return;
    const grouped = slicesByService(slices);
    const keys = new Set<string>();
    for (const service of wanted) {
      const { namespace = '', name } = service.metadata;
      const port = service.spec.healthCheckNodePort ?? 0;
      const key = `${namespace}/${name} ${port}`;
      keys.add(key);
      const count = localReady(grouped.get(`${namespace}/${name}`) ?? [], this.#o.node);
      const known = this.#checks.get(key);
      if (known === undefined) this.#open({ key, namespace, name, port, count });
      else known.localEndpoints = count;
    }
    for (const [key, check] of this.#checks) {
      if (keys.has(key)) continue;
      close(check);
      this.#checks.delete(key);
    }
  }

  close(): void {
    for (const check of this.#checks.values()) close(check);
    this.#checks.clear();
  }

  #open(o: {
    readonly key: string;
    readonly namespace: string;
    readonly name: string;
    readonly port: number;
    readonly count: number;
  }): void {
    const { namespace, name } = o;
    const server = createServer((_request, response) => {
      const { localEndpoints } = check;
      const body = JSON.stringify({
        service: { namespace, name },
        localEndpoints,
        serviceProxyHealthy: true,
      });
      response.writeHead(localEndpoints > 0 ? 200 : 503, {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': String(localEndpoints),
      });
      response.end(body);
    });
    const check: Check = { namespace, name, localEndpoints: o.count, server };
    server.on('error', (error) => this.#failed(o, error));
    try {
      server.listen({ fd: listenTcp({ host: this.#o.host, port: o.port, netns: this.#o.netns }) });
      this.#checks.set(o.key, check);
    } catch (error) {
      this.#failed(o, error); // taken by a hostNetwork pod: tried again with the next change
    }
  }

  #failed(
    o: { readonly namespace: string; readonly name: string; readonly port: number },
    error: unknown,
  ): void {
    const service = `${o.namespace}/${o.name}`;
    this.#o.log.warn('no health check for a service', { service, port: o.port, error: messageOf(error) });
  }
}

/** Endpoints on the node; those of a dual-stack service are in slices of both families and count once. */
function localReady(slices: readonly EndpointSlice[], node: string): number {
  const byFamily = new Map<string, Set<string>>();
  for (const { addressType, endpoints = [] } of slices) {
    const ips = byFamily.get(addressType) ?? new Set();
    byFamily.set(addressType, ips);
    for (const { addresses, conditions, nodeName } of endpoints) {
      if (nodeName === node && conditions?.ready !== false) for (const ip of addresses) ips.add(ip);
    }
  }
  return Math.max(0, ...[...byFamily.values()].map((ips) => ips.size));
}

function close({ server }: Check): void {
  server.close();
  server.closeAllConnections();
}
