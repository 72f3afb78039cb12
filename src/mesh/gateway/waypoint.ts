import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { pause, untilAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { HbonePool } from '../hbone/pool.js';
import { HboneServer } from '../hbone/server.js';
import { CaClient } from '../identity/ca-client.js';
import { CertificateManager } from '../identity/certificate-manager.js';
import { TrustBundleHandler } from '../identity/trust-bundle.js';
import { Http1Engine } from '../l7/codec/http1-engine.js';
import { Http2Engine } from '../l7/codec/http2-engine.js';
import { L7PolicyStore } from '../policy/l7/l7-policy-store.js';
import { adminHandler } from '../process/admin-handler.js';
import { ControlPlane } from '../process/control-plane.js';
import { Drain, type DrainPart } from '../process/drain.js';
import { HttpServer } from '../process/http-server.js';
import { metricsHandler } from '../process/metrics-handler.js';
import { processRegistry } from '../process/process-metrics.js';
import { Readiness } from '../process/readiness.js';
import { isOwnIdentity } from '../rules/trust-domain.js';
import { everyAddress } from '../system/every-address.js';
import { productVersion } from '../telemetry/version.js';
import { MeshView } from '../view/mesh-view.js';
import type { DeltaClientOptions } from '../xds/client/delta-client.js';
import { gatewayDump } from './admin/config-dump.js';
import type { WaypointConfig } from './config.js';
import type { ConnectionContext } from './connection/connection-context.js';
import type { GatewaySelf } from './connection/destination.js';
import { AuthorizationFilter } from './http/filter.js';
import { Forwarder } from './http/forwarder.js';
import { HttpService } from './http/http-service.js';
import { TcpProxy } from './listener/tcp-proxy.js';
import { TunnelListener } from './listener/tunnel-listener.js';
import { AccessLog } from './telemetry/access-log.js';
import { Metrics } from './telemetry/metrics.js';
import type { Telemetry } from './telemetry/request-record.js';
import { Backends } from './upstream/backends.js';
import { ConnectionPool } from './upstream/connection-pool.js';
import { Dialer } from './upstream/dialer.js';

const log = createLogger('waypoint');
/** Lifetime asked for this proxy's certificate. */
const certificateTtlSeconds = 24 * 3600;
const tcpBacklog = 1_024;

/**
 * The L7 proxy of one Gateway. Order of start: admin ports, certificate and configuration, then the HBONE
 * listener - until every policy is known it takes no traffic, and it reports ready only then.
 */
export class WaypointProxy {
  readonly #config: WaypointConfig;
  readonly #writeLog: (line: string) => void;

  readonly #view = new MeshView();
  readonly #self: GatewaySelf;
  readonly #policies: L7PolicyStore;
  readonly #registry = processRegistry({ component: 'proxy', tag: productVersion });
  readonly #metrics = new Metrics(this.#registry);
  readonly #readiness = new Readiness();
  readonly #controlPlane: ControlPlane;
  readonly #ca: CaClient;
  readonly #certificates: CertificateManager;
  readonly #hbonePool = new HbonePool();
  readonly #upstream: ConnectionPool;
  readonly #http1: Http1Engine<ConnectionContext>;
  readonly #http2: Http2Engine<ConnectionContext>;
  readonly #listener: TunnelListener;
  readonly #hbone: HboneServer;
  readonly #quit = new AbortController();
  readonly #stopping = new AbortController();
  #servers: HttpServer[] = [];
  #tcpServer: Server | undefined;
  readonly #drain: Drain;

  /** `writeLog` takes the lines of the access log; by default they go to the standard output. */
  constructor(
    config: WaypointConfig,
    writeLog: (line: string) => void = (line) => void process.stdout.write(line),
  ) {
    this.#config = config;
    this.#writeLog = writeLog;

    const { controlPlane, gateway, names, network, pod } = config;
    this.#drain = new Drain({ deadlineMs: config.drainMs, leaveMs, log });
    this.#self = { namespace: gateway.namespace, hostname: config.hostname, network, podIp: pod.ip };
    this.#policies = new L7PolicyStore(names);
    this.#ca = new CaClient({
      endpoint: controlPlane,
      impersonate: false,
      ttlSeconds: certificateTtlSeconds,
    });
    this.#certificates = new CertificateManager({ source: this.#ca });
    const credentials = () => this.#certificates.get(config.identity);
    const telemetry = this.#telemetry();
    const backends = new Backends(this.#view, {
      network,
      clusterId: config.clusterId,
      node: pod.node,
      ip: pod.ip,
    });
    const dialer = new Dialer({ pool: this.#hbonePool, credentials, names });
    this.#upstream = new ConnectionPool(dialer);
    const service = new HttpService({
      filters: [new AuthorizationFilter(this.#policies)],
      forwarder: new Forwarder({ backends, pool: this.#upstream, random: Math.random }),
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
      tcp: new TcpProxy({ policies: this.#policies, backends, dialer, telemetry, now: Date.now }),
    });
    this.#controlPlane = new ControlPlane({
      endpoint: controlPlane,
      node: xdsNode(config),
      // Policies first: no address is known before the policies that guard it are.
      handlers: [
        new TrustBundleHandler((bundle) => this.#certificates.setTrust(bundle)),
        this.#policies,
        this.#view,
      ],
      log,
    });
    this.#requireReady();
    this.#hbone = new HboneServer({
      credentials,
      admits: (peer) => isOwnIdentity(peer, names),
      onConnect: (request) => void this.#listener.serve(request),
      onRefused: ({ remote, flag, error }) =>
        log.warn('connection refused', { peer: `${remote.host}:${remote.port}`, flag, error: error.message }),
    });
  }

  #requireReady(): void {
    this.#readiness.require('configuration', () =>
      this.#controlPlane.isSynced ? undefined : 'not complete yet',
    );
    this.#readiness.require('certificate', () =>
      this.#certificates.peek(this.#config.identity) === undefined ? 'none was issued yet' : undefined,
    );
    this.#readiness.require('listener', () =>
      this.#tcpServer?.listening === true ? undefined : 'does not take connections',
    );
    this.#readiness.require('shutdown', this.#drain.check);
  }

  /** Runs until the signal fires or /quitquitquit is called, then drains. Rejects when a port cannot be bound. */
  async run(shutdown: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([shutdown, this.#quit.signal]);
    try {
      await this.#listenForOperators();
      this.#certificates.prefetch(this.#config.identity);
      const control = this.#controlPlane.run(this.#stopping.signal);
      await Promise.race([this.#listenForClients(stop), untilAborted(stop), control]);
      await Promise.race([untilAborted(stop), control]);
      await this.#drain.run([this.#traffic()]);
      this.#upstream.drain();
      this.#hbonePool.drain();
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
      await HttpServer.listen(
        { hosts: ['127.0.0.1'], port: ports.admin },
        adminHandler({ dump: () => this.#dump(), quit: () => this.#quit.abort() }),
      ),
      await HttpServer.listen(
        { hosts, port: ports.stats },
        metricsHandler(this.#registry, { layout: 'openmetrics' }),
      ),
      await HttpServer.listen({ hosts, port: ports.ready }, this.#readiness.handler('/healthz/ready', 503)),
    ];
  }

  async #listenForClients(stop: AbortSignal): Promise<void> {
    await this.#controlPlane.untilSynced(stop);
    // A listener without a certificate would only make clients wait for a handshake that cannot end.
    while (this.#certificates.peek(this.#config.identity) === undefined && !stop.aborted)
      await this.#certificates.get(this.#config.identity, stop).catch(() => pause(certificatePollMs, stop));
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
   * How clients are let go: no new connection and no new tunnel (their proxies go elsewhere with both), GOAWAY to
   * HTTP/2, and to HTTP/1.1 the end of the connection with the next answer. Only at the end, connections that no
   * request came on are closed: a request may always be under way to them.
   */
  #traffic(): DrainPart {
    return {
      close: () => {
        this.#tcpServer?.close();
        this.#hbone.drain();
        this.#http1.drain();
        this.#http2.drain();
      },
      idle: () => this.#listener.idle(),
      endIdle: () => this.#http1.closeIdle(),
    };
  }

  #dump(): unknown {
    return gatewayDump({
      gateway: this.#config.gateway,
      identity: this.#config.identity,
      names: this.#config.names,
      certificates: this.#certificates.states(),
      policies: this.#policies,
      view: this.#view,
      listener: this.#listener,
      self: this.#self,
    });
  }

  #telemetry(): Telemetry {
    const accessLog = new AccessLog(this.#config.accessLog, this.#writeLog);
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

/** How this proxy names itself to the controller. */
function xdsNode({ pod, gateway, serviceAccount, clusterId }: WaypointConfig): DeltaClientOptions['node'] {
  return {
    id: `waypoint~${pod.ip}~${pod.name}.${gateway.namespace}~${gateway.namespace}.svc.cluster.local`,
    metadata: {
      NAME: pod.name,
      NAMESPACE: gateway.namespace,
      NODE_NAME: pod.node,
      SERVICE_ACCOUNT: serviceAccount,
      CLUSTER_ID: clusterId,
      GATEWAY_NAME: gateway.name,
      GATEWAY_NAMESPACE: gateway.namespace,
      ISTIO_VERSION: productVersion,
    },
  };
}

/** The certificate manager paces its own attempts; this only looks whether one succeeded. */
const certificatePollMs = 250;
/** How long new connections are still taken after the signal: clients' proxies learn late that this one is going. */
const leaveMs = 1_500;
