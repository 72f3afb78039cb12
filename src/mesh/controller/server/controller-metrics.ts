import { Counter, Gauge, Histogram } from 'prom-client';
import { processRegistry } from '../../process/process-metrics.js';
import { productVersion } from '../../telemetry/version.js';
import type { ConnectionEvents } from '../../xds/server/connection.js';
import type { CertificateEvents } from './certificate-service.js';

/** Short names of resource types, as metrics label them upstream. */
const typeLabels: Readonly<Record<string, string>> = {
  'type.googleapis.com/istio.workload.Address': 'wds',
  'type.googleapis.com/istio.security.Authorization': 'wads',
  'type.googleapis.com/meshctl.l7.v1.AuthorizationPolicy': 'l7authz',
};

/** The controller's metrics, under upstream's names (istio/istio pilot/pkg/xds/monitoring.go). */
export class ControllerMetrics {
  readonly registry = processRegistry({ component: 'pilot', tag: productVersion });
  readonly #pushes = this.#counter('pilot_xds_pushes', 'Responses sent', ['type']);
  readonly #rejects = this.#counter('pilot_total_xds_rejects', 'Responses a proxy rejected', ['type']);
  readonly #expired = this.#counter('pilot_xds_expired_nonce', 'Requests with an outdated nonce', ['type']);
  readonly #sizes = new Histogram({
    name: 'pilot_xds_config_size_bytes',
    help: 'Size of responses',
    labelNames: ['type'],
    buckets: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    registers: [this.registry],
  });
  readonly #sendTime = new Histogram({
    name: 'pilot_xds_send_time',
    help: 'Seconds from taking a push to handing it to the stream',
    buckets: [0.001, 0.01, 0.1, 1, 3, 10],
    registers: [this.registry],
  });
  readonly #csrs = this.#counter('citadel_server_csr_count', 'Certificate requests received', []);
  readonly #authenticationFailures = this.#counter(
    'citadel_server_authentication_failure_count',
    'Certificate requests of callers that could not prove who they are',
    [],
  );
  readonly #refusals = this.#counter(
    'citadel_server_id_extraction_err_count',
    'Certificate requests for an identity the caller may not have',
    [],
  );
  readonly #signErrors = this.#counter(
    'citadel_server_csr_sign_err_count',
    'Certificates that could not be signed',
    [],
  );
  readonly #issued = this.#counter('citadel_server_success_cert_issuance_count', 'Certificates issued', []);

  readonly #recomputations = this.#counter(
    'meshctl_controller_recomputations_total',
    'Computations that changes of the cluster caused, by what was computed',
    ['collection'],
  );
  readonly #recomputationsPerFlush = new Histogram({
    name: 'meshctl_controller_flush_recomputations',
    help: 'Computations of one recomputation of the mesh state, which serves the changes of a moment',
    buckets: [1, 3, 10, 30, 100, 1_000, 10_000, 100_000],
    registers: [this.registry],
  });
  readonly #flushTime = new Histogram({
    name: 'meshctl_controller_flush_seconds',
    help: 'Seconds from the start of a recomputation to handing its changes to the streams',
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers: [this.registry],
  });

  readonly xdsEvents: ConnectionEvents = {
    request: (typeUrl, outcome) => {
      const type = typeLabels[typeUrl] ?? 'other';
      if (outcome === 'nack') this.#rejects.inc({ type });
      if (outcome === 'stale') this.#expired.inc({ type });
    },
    sent: ({ typeUrl, sizeBytes, tookMs }) => {
      const type = typeLabels[typeUrl] ?? 'other';
      this.#pushes.inc({ type });
      this.#sizes.observe({ type }, sizeBytes);
      this.#sendTime.observe(tookMs / 1000);
    },
  };

  /** Takes one recomputation of the mesh state into account. */
  recomputed(flush: { readonly recomputations: ReadonlyMap<string, number>; readonly tookMs: number }): void {
    let total = 0;
    for (const [collection, count] of flush.recomputations) {
      total += count;
      this.#recomputations.inc({ collection }, count);
    }
    this.#recomputationsPerFlush.observe(total);
    this.#flushTime.observe(flush.tookMs / 1000);
  }

  readonly certificateEvents: CertificateEvents = {
    requested: () => this.#csrs.inc(),
    authenticationFailed: () => this.#authenticationFailures.inc(),
    refused: () => this.#refusals.inc(),
    signFailed: () => this.#signErrors.inc(),
    issued: () => this.#issued.inc(),
  };

  /** Gauges that are read when they are asked for. */
  constructor(read: {
    readonly connectionCount: () => number;
    readonly serviceCount: () => number;
    readonly rootExpiresMs: () => number;
  }) {
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    gauge('pilot_xds', 'Proxies connected', read.connectionCount);
    gauge('pilot_services', 'Services known', read.serviceCount);
    gauge('istiod_uptime_seconds', 'Seconds since start', () => process.uptime());
    gauge('citadel_server_root_cert_expiry_timestamp', 'When the root ends, seconds since the epoch', () =>
      Math.floor(read.rootExpiresMs() / 1000),
    );
    new Gauge({
      name: 'pilot_info',
      help: 'Version of the controller',
      labelNames: ['version'],
      registers: [this.registry],
    }).set({ version: productVersion }, 1);
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}
