import { Counter, Histogram, type Registry } from 'prom-client';
import type { ConnectionContext } from '../connection/connection-context.js';
import type { Endpoint } from '../upstream/endpoint.js';
import {
  canonicalService,
  type TcpConnectionRecord,
  type RequestRecord,
  workloadNameFor,
} from './request-record.js';

const unknown = 'unknown';

const peerLabels = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
  'request_protocol',
] as const;
const httpLabels = [
  ...peerLabels,
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const;
const tcpLabels = [...peerLabels, 'response_flags', 'connection_security_policy'] as const;

/** Upstream's buckets, for durations (milliseconds) and sizes (bytes) alike. */
const buckets = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

type PeerLabels = Record<(typeof peerLabels)[number], string>;

/** The standard metric families of a mesh, as a waypoint reports them. */
export class Metrics {
  readonly #requests: Counter;
  readonly #durations: Histogram;
  readonly #requestBytes: Histogram;
  readonly #responseBytes: Histogram;
  readonly #opened: Counter;
  readonly #closed: Counter;
  readonly #sent: Counter;
  readonly #received: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: readonly string[]): Counter =>
      new Counter({ name, help, labelNames: [...labelNames], registers });
    const histogram = (name: string, help: string): Histogram =>
      new Histogram({ name, help, labelNames: [...httpLabels], buckets, registers });
    this.#requests = counter('istio_requests_total', 'HTTP requests.', httpLabels);
    this.#durations = histogram('istio_request_duration_milliseconds', 'Duration of HTTP requests.');
    this.#requestBytes = histogram('istio_request_bytes', 'Size of HTTP requests with headers.');
    this.#responseBytes = histogram('istio_response_bytes', 'Size of HTTP responses with headers.');
    this.#opened = counter('istio_tcp_connections_opened_total', 'TCP connections opened.', tcpLabels);
    this.#closed = counter('istio_tcp_connections_closed_total', 'TCP connections closed.', tcpLabels);
    this.#sent = counter('istio_tcp_sent_bytes_total', 'Bytes sent to clients.', tcpLabels);
    this.#received = counter('istio_tcp_received_bytes_total', 'Bytes received from clients.', tcpLabels);
  }

  request(record: RequestRecord): void {
    const labels = {
      ...peers(record.connection, record.endpoint),
      request_protocol: record.isGrpc ? 'grpc' : 'http',
      response_code: String(record.status),
      grpc_response_status: record.isGrpc ? (record.grpcStatus ?? '') : '',
      response_flags: flagsOf(record.flags),
      connection_security_policy: 'mutual_tls',
    };
    this.#requests.inc(labels);
    this.#durations.observe(labels, record.durationMs);
    this.#requestBytes.observe(labels, record.requestHeaderBytes + record.receivedBytes);
    this.#responseBytes.observe(labels, record.responseHeaderBytes + record.sentBytes);
  }

  connectionOpened(record: TcpConnectionRecord): void {
    this.#opened.inc(tcpLabelsOf(record));
  }

  connectionClosed(record: TcpConnectionRecord): void {
    const labels = tcpLabelsOf(record);
    this.#closed.inc(labels);
    this.#sent.inc(labels, record.sentBytes);
    this.#received.inc(labels, record.receivedBytes);
  }
}

function tcpLabelsOf(record: TcpConnectionRecord): Record<string, string> {
  return {
    ...peers(record.connection, record.endpoint),
    request_protocol: 'tcp',
    response_flags: flagsOf(record.flags),
    connection_security_policy: 'mutual_tls',
  };
}

function flagsOf(flags: readonly string[]): string {
  return flags.length === 0 ? '-' : flags.join(',');
}

function peers(
  connection: ConnectionContext,
  endpoint: Endpoint | undefined,
): Omit<PeerLabels, 'request_protocol'> {
  const { source, peer, destination } = connection;
  const sourceName = canonicalService(source);
  const sourceRevision = source === undefined ? unknown : source.canonicalRevision || 'latest';
  const target = endpoint?.workload;
  const targetName = canonicalService(target);
  const targetRevision = target === undefined ? unknown : target.canonicalRevision || 'latest';
  const service = destination.kind === 'service' ? destination.service : undefined;
  return {
    reporter: 'waypoint',
    source_workload: workloadNameFor(source),
    source_canonical_service: sourceName,
    source_canonical_revision: sourceRevision,
    // The certificate is proof, the address only a hint.
    source_workload_namespace: peer.split('/')[4] ?? source?.namespace ?? unknown,
    source_principal: peer,
    source_app: sourceName,
    source_version: sourceRevision,
    source_cluster: source?.clusterId ?? unknown,
    destination_workload: workloadNameFor(target),
    destination_workload_namespace: target?.namespace ?? unknown,
    destination_principal: target?.identity ?? unknown,
    destination_app: targetName,
    destination_version: targetRevision,
    destination_service: service?.hostname ?? unknown,
    destination_canonical_service: targetName,
    destination_canonical_revision: targetRevision,
    destination_service_name: service?.name ?? unknown,
    destination_service_namespace: service?.namespace ?? target?.namespace ?? unknown,
    destination_cluster: target?.clusterId ?? unknown,
  };
}
