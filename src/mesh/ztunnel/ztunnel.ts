import type { Registry } from 'prom-client';
import { CaClient } from '../identity/ca-client.js';
import { CertificateManager } from '../identity/certificate-manager.js';
import { PodCertificate } from '../identity/pod-certificate.js';
import { TrustBundleHandler } from '../identity/trust-bundle.js';
import { adminHandler } from '../process/admin-handler.js';
import { ControlPlane } from '../process/control-plane.js';
import { Drain } from '../process/drain.js';
import { HttpServer } from '../process/http-server.js';
import { metricsHandler } from '../process/metrics-handler.js';
import { processRegistry } from '../process/process-metrics.js';
import { Readiness } from '../process/readiness.js';
import { untilAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { RefusedAttempts } from '../telemetry/refused-attempts.js';
import { TrafficMetrics } from '../telemetry/traffic-metrics.js';
import { ztunnelStateDump } from './admin/config-dump.js';
import { prefetchCertificates } from './certificate-prefetch.js';
import type { ZtunnelConfig } from './config.js';
import { makeWorkloadMetrics, type WorkloadMetrics } from './workload-metrics.js';
import { WorkloadProxy } from './proxy/workload-proxy.js';
import { loadLocalConfig } from './local/local-config.js';
import { MeshView } from '../view/mesh-view.js';
import { L4PolicyStore } from '../policy/l4/l4-policy-store.js';
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

  readonly view = new MeshView();
  readonly policies = new L4PolicyStore();
  readonly certificates: CertificateManager;
  readonly workloads: WorkloadManager;
  readonly #registry: Registry;
  readonly #readiness = new Readiness();
  readonly #controlPlane: ControlPlane | undefined;
  readonly #metrics: WorkloadMetrics;
  readonly #traffic: TrafficMetrics;
  readonly #refused = new RefusedAttempts();
  readonly #stopping = new AbortController();
  readonly #quit = new AbortController();
  readonly #ca: CaClient;
  #servers: HttpServer[] = [];
  readonly #drain: Drain;

  constructor(config: ZtunnelConfig, version: string) {
    this.#config = config;
    this.#drain = new Drain({ deadlineMs: config.drainMs, log });
    this.#version = version;

    this.#registry = processRegistry({ component: 'ztunnel', tag: config.istioVersion });
    this.#metrics = makeWorkloadMetrics(this.#registry);
    this.#traffic = new TrafficMetrics(this.#registry);
    this.#ca = new CaClient({ endpoint: config.ca, impersonate: true, ttlSeconds: config.secretTtlSeconds });
    this.certificates = new CertificateManager({ source: this.#ca });
    prefetchCertificates({ view: this.view, certificates: this.certificates, nodeName: config.nodeName });
    this.workloads = new WorkloadManager({
      makeProxy: (info, netns) =>
        new WorkloadProxy({
          info,
          netns,
          view: this.view,
          policies: this.policies,
          certificate: new PodCertificate(this.certificates, info),
          traffic: this.#traffic,
          refused: this.#refused,
          names: config.names,
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
    if (config.xds !== undefined) {
      this.#controlPlane = new ControlPlane({
        endpoint: config.xds,
        node: config.node,
        handlers: [
          new TrustBundleHandler((bundle) => this.certificates.setTrust(bundle)),
          this.view,
          this.policies,
        ],
        log,
        events: {
          disconnected: ({ reason }) => this.#metrics.xdsTerminations.inc({ reason }),
          message: ({ typeUrl, bytes }) => {
            this.#metrics.xdsMessages.inc({ url: typeUrl });
            this.#metrics.xdsBytes.inc({ url: typeUrl }, bytes);
          },
        },
      });
    }
    // Upstream's names of these tasks.
    this.#readiness.require('state manager', () =>
      this.#controlPlane?.isSynced === false ? 'the configuration is not complete' : undefined,
    );
    this.#readiness.require('workload proxy manager', () =>
      this.workloads.isReady ? undefined : 'the CNI agent has not handed over its pods',
    );
    this.#readiness.require('shutdown', this.#drain.check);
    this.policies.onPush(() => {
      for (const proxy of this.workloads.proxies()) proxy.connections.reevaluate(this.policies);
    });
    this.view.onWorkload(({ uid, before, after }) => {
      if (before === undefined || after === undefined) return;
      if (before.authorizationPolicies.join() === after.authorizationPolicies.join()) return;
      for (const proxy of this.workloads.proxies()) {
        if (proxy.workload()?.uid === uid) proxy.connections.reevaluate(this.policies);
      }
    });
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
      await this.#drain.run([this.workloads]);
      this.workloads.stop();
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
    const { localXdsPath } = this.#config;
    if (localXdsPath !== undefined)
      await loadLocalConfig({ path: localXdsPath, view: this.view, policies: this.policies });
    await (this.#controlPlane?.run(this.#stopping.signal) ?? untilAborted(this.#stopping.signal));
  }

  async #followAgent(): Promise<void> {
    const { signal } = this.#stopping;
    await this.#controlPlane?.untilSynced(signal);
    if (signal.aborted) return;
    await runZdsClient({ path: this.#config.zdsPath, manager: this.workloads, signal });
  }

  async #listen(): Promise<void> {
    const config = this.#config;
    const everywhere = config.isIpv6Enabled ? ['::'] : ['0.0.0.0'];
    this.#servers = [
      await HttpServer.listen(
        { hosts: config.isIpv6Enabled ? ['127.0.0.1', '::1'] : ['127.0.0.1'], port: config.adminPort },
        adminHandler({
          dump: () => this.dump(),
          refusedAttempts: () => this.#refused.view(),
          quit: () => this.#quit.abort(),
        }),
      ),
      await HttpServer.listen(
        { hosts: everywhere, port: config.statsPort },
        metricsHandler(this.#registry, {
          layout: 'openmetrics',
          refresh: () => {
            for (const proxy of this.workloads.proxies()) proxy.connections.flushBytes();
          },
        }),
      ),
      await HttpServer.listen(
        { hosts: everywhere, port: config.readinessPort },
        this.#readiness.handler('/healthz/ready', 500),
      ),
    ];
  }

  /** The state dump of the admin port. */
  dump(): unknown {
    const config = this.#config;
    return ztunnelStateDump({
      view: this.view,
      policies: this.policies.list(),
      certificates: this.certificates.states(),
      workloads: this.workloads.views(),
      refused: this.#refused.view().attempts,
      version: { version: this.#version, istioVersion: config.istioVersion },
      config: {
        proxy: true,
        dnsProxy: false,
        trustDomain: config.names.trustDomain,
        trustDomainAliases: [...config.names.trustDomainAliases],
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
}
