import { closeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '#base/errors/mesh-error.js';
import { listenTcp, closeFd } from '#base/system/socket.js';
import { createLogger } from '#base/telemetry/log.js';
import { hbonePort } from '../../hbone/parameters.js';
import { inboundPlaintextPort, outboundPort } from '../../rules/capture-ports.js';
import { HbonePool } from '../../hbone/pool.js';
import { HboneServer } from '../../hbone/server.js';
import type { RefusedAttempts } from '../../telemetry/refused-attempts.js';
import { isOwnIdentity, type MeshNames } from '../../rules/trust-domain.js';
import type { TrafficMetrics } from '../../telemetry/traffic-metrics.js';
import type { PodCertificate } from '../../identity/pod-certificate.js';
import { ClientAffinity } from '../../view/client-affinity.js';
import type { MeshView } from '../../view/mesh-view.js';
import type { KnownWorkload } from '../../view/known.js';
import type { L4PolicyStore } from '../../policy/l4/l4-policy-store.js';
import { breakOff } from '../../system/break-off.js';
import { recordEarlyFailure } from './connection.js';
import { ConnectionSet } from './connection-set.js';
import { serveInboundHbone, serveInboundPlaintext } from './inbound.js';
import { serveOutbound } from './outbound.js';
import type { ProxyContext } from './proxy-context.js';

/** The pod as the CNI agent names it. */
export interface WorkloadInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface WorkloadProxyOptions {
  readonly info: WorkloadInfo;
  /** fd of the pod's network namespace; owned by the proxy from here on. */
  readonly netns: number;
  readonly view: MeshView;
  readonly policies: L4PolicyStore;
  readonly certificate: PodCertificate;
  readonly traffic: TrafficMetrics;
  readonly refused: RefusedAttempts;
  readonly names: MeshNames;
  /** Limits the search for the workload's description to this node; empty: any node. */
  readonly nodeName: string;
  readonly mark: number;
  readonly preservesSource: boolean;
  readonly reusesPort: boolean;
  readonly isIpv6Enabled: boolean;
  readonly poolStreamsMax: number;
  readonly poolUnusedReleaseMs: number;
}

const backlog = 128;
/** Connections one workload may have open through one listener; beyond it new ones are closed. */
const connectionsMax = 16_384;
/** How long a connection waits for a pod whose description has not arrived yet. */
const workloadWaitMs = 5_000;
const keepaliveMs = 180_000;

const log = createLogger('proxy');

/** The three listeners of one enrolled pod and the connections behind them. */
export class WorkloadProxy {
  readonly #options: WorkloadProxyOptions;

  readonly info: WorkloadInfo;
  readonly connections = new ConnectionSet();
  readonly #servers: Server[] = [];
  readonly #accepted = new Set<Socket>();
  readonly #pool: HbonePool;
  readonly #hbone: HboneServer;
  readonly #context: ProxyContext & { pool: HbonePool };
  #isStopped = false;

  constructor(options: WorkloadProxyOptions) {
    this.#options = options;

    this.info = options.info;
    this.#pool = new HbonePool({
      netns: options.netns,
      mark: options.mark,
      streamsMax: options.poolStreamsMax,
      unusedReleaseMs: options.poolUnusedReleaseMs,
    });
    this.#context = {
      view: options.view,
      policies: options.policies,
      certificate: options.certificate,
      traffic: options.traffic,
      refused: options.refused,
      names: options.names,
      connections: this.connections,
      netns: options.netns,
      mark: options.mark,
      preservesSource: options.preservesSource,
      affinity: new ClientAffinity(),
      random: Math.random,
      workload: () => this.workload(),
      workloadSoon: (signal) => this.#workloadSoon(signal),
      pool: this.#pool,
    };
    this.#hbone = new HboneServer({
      credentials: () => {
        const workload = this.workload();
        if (workload === undefined) throw new Error('the control plane does not know this workload');
        return options.certificate.get(workload.trustDomain);
      },
      admits: (peer) => isOwnIdentity(peer, options.names),
      onConnect: (request) => {
        serveInboundHbone(this.#context, request).catch((error: unknown) => {
          log.error('inbound stream failed', { error: messageOf(error) });
          request.reject(503);
        });
      },
      onRefused: ({ remote, local, error }) =>
        recordEarlyFailure(
          this.#context,
          { direction: 'inbound', source: remote, destination: local, error: error.message },
          'IDENTITY_ERROR',
        ),
    });
  }

  /** Binds all listeners in the pod's namespace. Rejects, with nothing left bound, when one cannot be. */
  async listen(): Promise<void> {
    try {
      await this.#bind(outboundPort, (socket) =>
        serveOutbound(this.#context, socket).catch((error: unknown) => this.#failed(socket, error)),
      );
      await this.#bind(inboundPlaintextPort, (socket) =>
        serveInboundPlaintext(this.#context, socket).catch((error: unknown) => this.#failed(socket, error)),
      );
      await this.#bind(hbonePort, (socket) => this.#hbone.serve(socket));
    } catch (error) {
      this.#stopListening();
      throw error;
    }
  }

  /** The description of this pod among the node's workloads. */
  workload(): KnownWorkload | undefined {
    const { info } = this;
    const options = this.#options;
    return options.view
      .workloadsNamed(info.namespace, info.name)
      .find(
        (w) =>
          w.serviceAccount === info.serviceAccount &&
          (options.nodeName === '' || w.node === options.nodeName),
      );
  }

  /** No new connections, GOAWAY to peers; what runs goes on. */
  close(): void {
    this.#stopListening();
    this.#hbone.drain();
  }

  /** Ends everything now. */
  stop(): void {
    this.#stopListening();
    this.#hbone.close();
    this.#pool.close();
    for (const socket of this.#accepted) breakOff(socket);
    if (this.#isStopped) return;
    this.#isStopped = true;
    closeSync(this.#options.netns);
  }

  #workloadSoon(signal: AbortSignal): Promise<KnownWorkload | undefined> {
    const now = this.workload();
    if (now !== undefined) return Promise.resolve(now);
    return new Promise((resolve) => {
      const done = (found: KnownWorkload | undefined): void => {
        clearTimeout(timer);
        unsubscribe();
        signal.removeEventListener('abort', give);
        resolve(found);
      };
      const give = (): void => done(undefined);
      const timer = setTimeout(give, workloadWaitMs);
      const unsubscribe = this.#options.view.onWorkload(({ after }) => {
        if (after?.name !== this.info.name) return;
        const found = this.workload();
        if (found !== undefined) done(found);
      });
      signal.addEventListener('abort', give, { once: true });
    });
  }

  async #bind(port: number, onSocket: (socket: Socket) => unknown): Promise<void> {
    if (this.#isStopped) throw new Error('the proxy was stopped');
    const fd = this.#listeningFd(port);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      this.#accepted.add(socket);
      socket.on('error', ignoreError);
      socket.once('close', () => this.#accepted.delete(socket));
      socket.setKeepAlive(true, keepaliveMs);
      onSocket(socket);
    });
    server.maxConnections = connectionsMax;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ fd, backlog }, () => {
        server.off('error', reject);
        server.on('error', (error) => log.error('accept failed', { port, error: error.message }));
        resolve();
      });
    }).catch((error: unknown) => {
      closeFd(fd);
      throw error;
    });
    this.#servers.push(server);
  }

  #listeningFd(port: number): number {
    const { netns, mark, reusesPort: reusePort, isIpv6Enabled } = this.#options;
    const base = { netns, mark, port, reusePort, transparent: this.#options.preservesSource, backlog };
    if (!isIpv6Enabled) return listenTcp({ ...base, host: '0.0.0.0' });
    try {
      return listenTcp({ ...base, host: '::' });
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      // A pod without IPv6 can only narrow what we bind.
      if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error;
      return listenTcp({ ...base, host: '0.0.0.0' });
    }
  }

  #stopListening(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }

  #failed(socket: Socket, error: unknown): void {
    log.error('connection failed unexpectedly', { error: messageOf(error) });
    socket.destroy();
  }
}

/** Socket errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
