import { everyAddress } from '../system/every-address.js';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { HbonePool } from '../hbone/pool.js';
import { HboneServer } from '../hbone/server.js';
import { CaClient } from '../identity/ca-client.js';
import { CertificateManager } from '../identity/certificate-manager.js';
import { adminHandler } from '../telemetry/admin-handler.js';
import { HttpServer } from '../telemetry/http-server.js';
import { untilAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { metricsHandler } from '../telemetry/metrics-handler.js';
import { DeltaClient } from '../xds/client/delta-client.js';
import { configDump } from './admin/config-dump.js';
import type { WaypointConfig } from './config.js';
import { AuthorizationFilter } from './http/filter.js';
import { Forwarder } from './http/forwarder.js';
import { Http1Engine } from './http/http1-engine.js';
import { Http2Engine } from './http/http2-engine.js';
import { HttpService } from './http/http-service.js';
import type { GatewaySelf } from './listener/destination.js';
import { TcpProxy } from './listener/tcp-proxy.js';
import { TunnelListener } from './listener/tunnel-listener.js';
import { MeshView } from './mesh/mesh-view.js';
import { PolicyStore } from './mesh/policy-store.js';
import { AccessLog } from './telemetry/access-log.js';
import { Metrics } from './telemetry/metrics.js';
import type { Telemetry } from './telemetry/request-record.js';
import { ConnectionPool } from './upstream/connection-pool.js';
import { Dialer } from './upstream/dialer.js';
import { EndpointSource } from './upstream/endpoint-source.js';
import { LeastRequest } from './upstream/least-request.js';
import { productVersion } from '../telemetry/version.js';

const log = createLogger('waypoint');
/** Lifetime asked for this proxy's certificate. */
const certificateTtlSeconds = 24 * 3600;
const tcpBacklog = 1_024;

/**
 * The L7 proxy of one Gateway. Order of start: admin ports, certificate and configuration, then the HBONE
 * listener - until every policy is known it takes no traffic, and it reports ready only then.
 */
export class Waypoint {
  readonly #config: WaypointConfig;

  readonly #view = new MeshView();
  readonly #self: GatewaySelf;
  readonly #policies: PolicyStore;
  readonly #metrics = new Metrics(productVersion);
  readonly #ca: CaClient;
  readonly #certificates: CertificateManager;
  readonly #hbonePool = new HbonePool();
  readonly #upstream: ConnectionPool;
  readonly #http1: Http1Engine;
  readonly #http2: Http2Engine;
  readonly #listener: TunnelListener;
  readonly #hbone: HboneServer;
  readonly #quit = new AbortController();
  readonly #stopping = new AbortController();
  #servers: HttpServer[] = [];
  #tcpServer: Server | undefined;
  #isSynced = false;
  #isDraining = false;

  constructor(config: WaypointConfig) {
    this.#config = config;

    const { controlPlane, gateway, names, network, pod } = config;
    this.#self = { namespace: gateway.namespace, hostname: config.hostname, network, podIp: pod.ip };
    this.#policies = new PolicyStore(names);
    this.#ca = new CaClient({
      endpoint: controlPlane,
      impersonate: false,
      ttlSeconds: certificateTtlSeconds,
    });
    this.#certificates = new CertificateManager({ source: this.#ca });
    const credentials = () => this.#certificates.get(config.identity);
    const telemetry = this.#telemetry();
    const endpoints = new EndpointSource(this.#view, config);
    const balancer = new LeastRequest();
    const dialer = new Dialer({ pool: this.#hbonePool, credentials });
    this.#upstream = new ConnectionPool(dialer);
    const service = new HttpService({
      filters: [new AuthorizationFilter(this.#policies)],
      forwarder: new Forwarder({ endpoints, balancer, pool: this.#upstream, random: Math.random }),
      telemetry,
      now: Date.now,
    });
    this.#http1 = new Http1Engine(service);
    this.#http2 = new Http2Engine(service);
    this.#listener = new TunnelListener({
      view: this.#view,
      self: this.#self,
      http1: this.#http1,
      http2: this.#http2,
      tcp: new TcpProxy({ policies: this.#policies, endpoints, balancer, dialer, telemetry, now: Date.now }),
    });
    this.#hbone = new HboneServer({
      credentials,
      onConnect: (request) => void this.#listener.serve(request),
      onRefused: ({ remote, flag, error }) =>
        log.warn('connection refused', { peer: `${remote.host}:${remote.port}`, flag, error: error.message }),
    });
  }

  /** Tasks that still keep the proxy from being ready. */
  get pendingTasks(): readonly string[] {
    return [
      ...(this.#isSynced ? [] : ['configuration']),
      ...(this.#certificates.peek(this.#config.identity) === undefined ? ['certificate'] : []),
      ...(this.#tcpServer?.listening === true ? [] : ['listener']),
      ...(this.#isDraining ? ['shutdown'] : []),
    ];
  }

  /** Runs until the signal fires or /quitquitquit is called, then drains. Rejects when a port cannot be bound. */
  async run(shutdown: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([shutdown, this.#quit.signal]);
    try {
      await this.#listenForOperators();
      this.#certificates.prefetch(this.#config.identity);
      const control = this.#followControlPlane();
      await Promise.race([this.#listenForClients(stop), untilAborted(stop), control]);
      await Promise.race([untilAborted(stop), control]);
      await this.#drain();
      this.#stopping.abort(new Error('shutting down'));
      await control;
    } finally {
      this.#stopping.abort(new Error('shutting down'));
      this.#tcpServer?.close();
      this.#hbone.close();
      this.#upstream.close();
      this.#hbonePool.close();
      this.#certificates.stop();
      this.#ca.close();
      for (const server of this.#servers) server.close();
    }
  }

  async #listenForOperators(): Promise<void> {
    const { ports, listenHost } = this.#config;
    const hosts = [listenHost ?? everyAddress()];
    this.#servers = [
      await HttpServer.listen({
        hosts: ['127.0.0.1'],
        port: ports.admin,
        handler: adminHandler({ dump: () => this.#dump(), quit: () => this.#quit.abort() }),
      }),
      await HttpServer.listen({
        hosts,
        port: ports.stats,
        handler: metricsHandler(this.#metrics.registry, () => undefined),
      }),
      await HttpServer.listen({
        hosts,
        port: ports.ready,
        handler: (_request, url) => {
          if (url.pathname !== '/healthz/ready') return undefined;
          const pending = this.pendingTasks;
          return pending.length === 0
            ? { status: 200, body: 'ready\n' }
            : { status: 503, body: `not ready, pending: ${pending.join(', ')}\n` };
        },
      }),
    ];
  }

  async #followControlPlane(): Promise<void> {
    const config = this.#config;
    const client = new DeltaClient({
      endpoint: config.controlPlane,
      node: {
        id: `waypoint~${config.pod.ip}~${config.pod.name}.${config.gateway.namespace}~${config.gateway.namespace}.svc.cluster.local`,
        metadata: {
          NAME: config.pod.name,
          NAMESPACE: config.gateway.namespace,
          NODE_NAME: config.pod.node,
          SERVICE_ACCOUNT: config.serviceAccount,
          CLUSTER_ID: config.clusterId,
          GATEWAY_NAME: config.gateway.name,
          GATEWAY_NAMESPACE: config.gateway.namespace,
          ISTIO_VERSION: productVersion,
        },
      },
      // Policies first: no address is known before the policies that guard it are.
      handlers: [this.#policies, this.#view],
      events: {
        connected: () => log.info('connected to the control plane'),
        disconnected: ({ reason, error, retryMs }) => {
          if (error === undefined) log.info('the control plane ended the stream', { retryMs });
          else log.warn('no stream to the control plane', { reason, error, retryMs });
        },
        rejected: ({ typeUrl, detail }) => log.warn('rejected resources', { type: typeUrl, detail }),
      },
    });
    client.synced(this.#stopping.signal).then(
      () => {
        this.#isSynced = true;
        this.#synced.abort();
      },
      () => undefined,
    );
    await client.run(this.#stopping.signal);
  }

  /** Aborted (that is, fired) once every type of configuration was received. */
  readonly #synced = new AbortController();

  async #listenForClients(stop: AbortSignal): Promise<void> {
    await untilAborted(AbortSignal.any([this.#synced.signal, stop]));
    // A listener without a certificate would only make clients wait for a handshake that cannot end.
    while (this.#certificates.peek(this.#config.identity) === undefined && !stop.aborted)
      await this.#certificates.get(this.#config.identity, stop).catch(() => pause(certificatePollMs));
    if (stop.aborted) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#hbone.serve(socket),
    );
    this.#tcpServer = server;
    server.listen({
      port: this.#config.ports.hbone,
      host: this.#config.listenHost ?? everyAddress(),
      backlog: tcpBacklog,
    });
    try {
      await once(server, 'listening');
    } catch (cause) {
      const message = `port ${this.#config.ports.hbone} cannot be listened on`;
      throw new MeshError('MESH0601', message, { evidence: messageOf(cause), cause });
    }
    log.info('serving', { gateway: `${this.#config.gateway.namespace}/${this.#config.gateway.name}` });
  }

  /**
   * Not ready at once, but still serving for a moment: clients' proxies learn late that this one is going. Then no
   * new connections; what runs gets the rest of the drain time to end.
   */
  async #drain(): Promise<void> {
    log.info('draining', { deadlineMs: this.#config.drainMs });
    this.#isDraining = true;
    if (this.#tcpServer !== undefined) await pause(Math.min(lingerMaxMs, this.#config.drainMs / 4));
    this.#tcpServer?.close();
    this.#hbone.drain();
    this.#http1.drain();
    this.#http2.drain();
    const deadline = AbortSignal.timeout(this.#config.drainMs);
    while (this.#listener.live.length > 0 && !deadline.aborted) await pause(drainPollMs);
    this.#upstream.drain();
    this.#hbonePool.drain();
  }

  #dump(): unknown {
    const [config, policies, view, listener] = [this.#config, this.#policies, this.#view, this.#listener];
    return configDump({
      config,
      certificates: this.#certificates.states(),
      policies,
      view,
      listener,
      self: this.#self,
    });
  }

  #telemetry(): Telemetry {
    const accessLog = new AccessLog(this.#config.accessLog, (line) => void process.stdout.write(line));
    return {
      request: (record) => {
        accessLog.request(record);
        this.#metrics.request(record);
      },
      connectionOpened: (record) => this.#metrics.connectionOpened(record),
      connectionClosed: (record) => {
        accessLog.connection(record);
        this.#metrics.connectionClosed(record);
      },
    };
  }
}

const drainPollMs = 50;
/** The certificate manager paces its own attempts; this only looks whether one succeeded. */
const certificatePollMs = 250;
/** How long new connections are still taken after the signal. */
const lingerMaxMs = 1_500;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
