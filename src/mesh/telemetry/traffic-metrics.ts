import { Counter, type Registry } from 'prom-client';

/** The labels of every per-connection metric, in upstream's order. */
const trafficLabels = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
] as const;

/** What a metric says of one end of a connection. */
export interface TrafficPeer {
  readonly workloadName: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly clusterId: string;
  readonly locality: { readonly region: string; readonly zone: string };
}

/** One connection as metrics label it. Undefined parts read `unknown`. */
export interface TrafficLabels {
  readonly reporter: 'source' | 'destination';
  readonly source: TrafficPeer | undefined;
  /** Only from a verified certificate, or our own when we originate mTLS. */
  readonly sourcePrincipal: string | undefined;
  readonly destination: TrafficPeer | undefined;
  readonly destinationPrincipal: string | undefined;
  readonly service:
    | { readonly hostname: string; readonly namespace: string; readonly name: string }
    | undefined;
  readonly isMutualTls: boolean;
}

/** Final state of a connection, `-` when nothing went wrong. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR';

type Labels = Record<string, string>;

/** The counters of one connection, looked up once when it opens. */
export interface ConnectionMetrics {
  /** Adds bytes moved since the last call. Client to server is `received`, for both reporters. */
  addBytes(received: number, sent: number): void;
  closed(flag: ResponseFlag): void;
}

/** istio_tcp_*: what dashboards written for upstream read. */
export class TrafficMetrics {
  readonly #opened: Counter;
  readonly #closedTotal: Counter;
  readonly #failed: Counter;
  readonly #received: Counter;
  readonly #sent: Counter;

  constructor(registry: Registry) {
    const counter = (name: string, help: string): Counter =>
      new Counter({ name, help, labelNames: trafficLabels, registers: [registry] });
    this.#opened = counter(
      'istio_tcp_connections_opened_total',
      'The total number of TCP connections opened',
    );
    this.#closedTotal = counter(
      'istio_tcp_connections_closed_total',
      'The total number of TCP connections closed',
    );
    this.#failed = counter(
      'istio_tcp_connections_failed_total',
      'The total number of TCP connections that failed to establish',
    );
    this.#received = counter(
      'istio_tcp_received_bytes_total',
      'The size of total bytes received during request in case of a TCP connection',
    );
    this.#sent = counter(
      'istio_tcp_sent_bytes_total',
      'The size of total bytes sent during response in case of a TCP connection',
    );
  }

  /** Counts an opened connection. */
  open(connection: TrafficLabels): ConnectionMetrics {
    const labels = toLabels(connection, '-');
    this.#opened.inc(labels);
    const received = this.#received.labels(labels);
    const sent = this.#sent.labels(labels);
    return {
      addBytes: (receivedBytes, sentBytes) => {
        if (receivedBytes > 0) received.inc(receivedBytes);
        if (sentBytes > 0) sent.inc(sentBytes);
      },
      closed: (flag) => this.#closedTotal.inc(flag === '-' ? labels : { ...labels, response_flags: flag }),
    };
  }

  /** Counts a connection that never carried a byte. */
  fail(connection: TrafficLabels, flag: ResponseFlag): void {
    this.#failed.inc(toLabels(connection, flag));
  }
}

function toLabels(c: TrafficLabels, flag: ResponseFlag): Labels {
  const labels: Labels = {
    reporter: c.reporter,
    ...peerLabels('source', c.source, c.sourcePrincipal),
    destination_service: known(c.service?.hostname),
    destination_service_namespace: known(c.service?.namespace),
    destination_service_name: known(c.service?.name),
    ...peerLabels('destination', c.destination, c.destinationPrincipal),
    request_protocol: 'tcp',
    response_flags: flag,
    connection_security_policy: c.isMutualTls ? 'mutual_tls' : 'unknown',
  };
  if (c.source !== undefined || c.destination !== undefined) {
    labels['source_region'] = known(c.source?.locality.region);
    labels['source_zone'] = known(c.source?.locality.zone);
    labels['destination_region'] = known(c.destination?.locality.region);
    labels['destination_zone'] = known(c.destination?.locality.zone);
  }
  return labels;
}

function peerLabels(
  side: 'source' | 'destination',
  peer: TrafficPeer | undefined,
  principal?: string,
): Labels {
  return {
    [`${side}_workload`]: known(peer?.workloadName),
    [`${side}_canonical_service`]: known(peer?.canonicalName),
    [`${side}_canonical_revision`]: known(peer?.canonicalRevision),
    [`${side}_workload_namespace`]: known(peer?.namespace),
    [`${side}_principal`]: known(principal),
    [`${side}_app`]: known(peer?.canonicalName),
    [`${side}_version`]: known(peer?.canonicalRevision),
    [`${side}_cluster`]: known(peer?.clusterId),
  };
}

function known(value: string | undefined): string {
  return value === undefined || value === '' ? 'unknown' : value;
}
