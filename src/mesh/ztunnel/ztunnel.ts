import { Registry } from 'prom-client';
import { messageOf } from '#base/errors/mesh-error.js';
import { CaClient } from '../identity/ca-client.js';
import { CertificateManager } from '../identity/certificate-manager.js';
import { adminHandler } from '../telemetry/admin-handler.js';
import { HttpServer } from '../telemetry/http-server.js';
import { untilAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { metricsHandler } from '../telemetry/metrics-handler.js';
import { TrafficMetrics } from '../telemetry/traffic-metrics.js';
import { DeltaClient } from '../xds/client/delta-client.js';
import { configDump } from './admin/config-dump.js';
import { prefetchCertificates } from './certificate-prefetch.js';
import type { ZtunnelConfig } from './config.js';
import { makeProcessMetrics, type ProcessMetrics } from './process-metrics.js';
import { WorkloadProxy } from './proxy/workload-proxy.js';
import { loadLocalConfig } from './state/local-config.js';
import { MeshState } from './state/mesh-state.js';
import { PolicyStore } from './state/policy-store.js';
import { WorkloadManager } from './zds/workload-manager.js';
import { runZdsClient } from './zds/zds-client.js';

const log = createLogger('ztunnel');

/**
 * The node proxy. Starts in the order that keeps it closed until it knows enough: admin ports, then the control plane;
 * only when every resource type was received does it take pods from the CNI agent and bind their listeners.
 */
export class Ztunnel {
  readonly #config: ZtunnelConfig;
  readonly #version: string;

  readonly state = new MeshState();
  readonly policies = new PolicyStore();
  readonly certificates: CertificateManager;
  readonly workloads: WorkloadManager;
  readonly #registry = new Registry();
  readonly #metrics: ProcessMetrics;
  readonly #traffic: TrafficMetrics;
  readonly #stopping = new AbortController();
  readonly #quit = new AbortController();
  readonly #ca: CaClient;
  #servers: HttpServer[] = [];
  #isSynced = false;
  #isDraining = false;

  constructor(config: ZtunnelConfig, version: string) {
    this.#config = config;
    this.#version = version;

    this.#metrics = makeProcessMetrics(this.#registry, config.istioVersion);
    this.#traffic = new TrafficMetrics(this.#registry);
    this.#ca = new CaClient({ endpoint: config.ca, impersonate: true, ttlSeconds: config.secretTtlSeconds });
    this.certificates = new CertificateManager({ source: this.#ca });
    prefetchCertificates({ state: this.state, certificates: this.certificates, nodeName: config.nodeName });
    this.workloads = new WorkloadManager({
      makeProxy: (info, netns) =>
        new WorkloadProxy({
          info,
          netns,
          state: this.state,
          policies: this.policies,
          certificates: this.certificates,
          traffic: this.#traffic,
          nodeName: config.nodeName,
          mark: config.mark,
          preservesSource: config.preservesSource,
          reusesPort: config.reusesPort,
          isIpv6Enabled: config.isIpv6Enabled,
          poolStreamsMax: config.poolStreamsMax,
          poolUnusedReleaseMs: config.poolUnusedReleaseMs,
        }),
      metrics: this.#metrics,
    });
    this.policies.onPush(() => {
      for (const proxy of this.workloads.proxies()) proxy.connections.reevaluate(this.policies);
    });
    this.state.onWorkload(({ uid, before, after }) => {
      if (before === undefined || after === undefined) return;
      if (before.authorizationPolicies.join() === after.authorizationPolicies.join()) return;
      for (const proxy of this.workloads.proxies()) {
        if (proxy.workload()?.uid === uid) proxy.connections.reevaluate(this.policies);
      }
    });
  }

  /** Tasks that still keep the proxy from being ready. */
  get pendingTasks(): readonly string[] {
    const pending: string[] = [];
    if (!this.#isSynced) pending.push('state manager');
    if (!this.workloads.isReady) pending.push('workload proxy manager');
    if (this.#isDraining) pending.push('shutdown');
    return pending;
  }

  /**
   * Runs until the signal fires or /quitquitquit is called, then drains. Rejects when a port cannot be bound or the
   * CNI agent breaks the hand-over protocol.
   */
  async run(shutdown: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([shutdown, this.#quit.signal]);
    try {
      await this.#listen();
      const tasks = [this.#followControlPlane(), this.#followAgent()];
      await Promise.race([...tasks, untilAborted(stop)]);
      await this.#drain();
      this.#stopping.abort(new Error('shutting down'));
      await Promise.allSettled(tasks);
    } finally {
      this.#stopping.abort(new Error('shutting down'));
      this.certificates.stop();
      this.#ca.close();
      for (const server of this.#servers) server.close();
    }
  }

  async #followControlPlane(): Promise<void> {
    const [config, metrics] = [this.#config, this.#metrics];
    if (config.localXdsPath !== undefined) {
      await loadLocalConfig({ path: config.localXdsPath, state: this.state, policies: this.policies });
    }
    if (config.xds === undefined) {
      this.#isSynced = true;
      await untilAborted(this.#stopping.signal);
      return;
    }
    const client = new DeltaClient({
      endpoint: config.xds,
      node: config.node,
      handlers: [this.state, this.policies],
      events: {
        connected: () => log.info('connected to the control plane'),
        disconnected: ({ reason, error, retryMs }) => {
          metrics.xdsTerminations.inc({ reason });
          if (error === undefined) log.info('the control plane ended the stream', { retryMs });
          else log.warn('no stream to the control plane', { reason, error, retryMs });
        },
        message: ({ typeUrl, resourceCount, removedCount, bytes }) => {
          metrics.xdsMessages.inc({ url: typeUrl });
          metrics.xdsBytes.inc({ url: typeUrl }, bytes);
          log.debug('received', { type: typeUrl, resources: resourceCount, removed: removedCount });
        },
        rejected: ({ typeUrl, detail }) => log.warn('rejected resources', { type: typeUrl, detail }),
      },
    });
    client.synced(this.#stopping.signal).then(
      () => {
        this.#isSynced = true;
        this.#syncedNow.abort();
      },
      () => undefined,
    );
    await client.run(this.#stopping.signal);
  }

  readonly #syncedNow = new AbortController();

  async #followAgent(): Promise<void> {
    if (!this.#isSynced) await untilAborted(AbortSignal.any([this.#syncedNow.signal, this.#stopping.signal]));
    if (this.#stopping.signal.aborted) return;
    await runZdsClient({
      path: this.#config.zdsPath,
      manager: this.workloads,
      signal: AbortSignal.any([this.#stopping.signal]),
    });
  }

  async #listen(): Promise<void> {
    const config = this.#config;
    const everywhere = config.isIpv6Enabled ? ['::'] : ['0.0.0.0'];
    this.#servers = [
      await HttpServer.listen({
        hosts: config.isIpv6Enabled ? ['127.0.0.1', '::1'] : ['127.0.0.1'],
        port: config.adminPort,
        handler: adminHandler({ dump: () => this.dump(), quit: () => this.#quit.abort() }),
      }),
      await HttpServer.listen({
        hosts: everywhere,
        port: config.statsPort,
        handler: metricsHandler(this.#registry, () => {
          for (const proxy of this.workloads.proxies()) proxy.connections.flushBytes();
        }),
      }),
      await HttpServer.listen({
        hosts: everywhere,
        port: config.readinessPort,
        handler: (request, url) => {
          if (url.pathname !== '/healthz/ready') return undefined;
          if (request.method !== 'GET') return { status: 405, body: 'Invalid HTTP method' };
          const pending = this.pendingTasks;
          return pending.length === 0
            ? { status: 200, body: 'ready\n' }
            : { status: 500, body: `not ready, pending: ${pending.join(', ')}\n` };
        },
      }),
    ];
  }

  /** The state dump of the admin port. */
  dump(): unknown {
    const config = this.#config;
    return configDump({
      state: this.state,
      policies: this.policies.list(),
      certificates: this.certificates.states(),
      workloads: this.workloads.views(),
      version: { version: this.#version, istioVersion: config.istioVersion },
      config: {
        proxy: true,
        dnsProxy: false,
        clusterId: config.clusterId,
        network: config.network,
        localNode: config.nodeName,
        xdsAddress: config.xds?.address ?? null,
        caAddress: config.ca.address,
        packetMark: config.mark,
        requireOriginalSource: config.preservesSource,
      },
    });
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    log.info('draining', { deadlineMs: this.#config.drainMs });
    try {
      await this.workloads.drain(AbortSignal.timeout(this.#config.drainMs));
    } catch (error) {
      log.error('drain failed', { error: messageOf(error) });
    }
  }
}
