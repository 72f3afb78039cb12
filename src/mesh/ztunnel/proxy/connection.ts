import { formatHostPort, type HostPort } from '#base/net/authority.js';
import type { TlsInfo } from '../../hbone/tls.js';
import type { SpiffeId } from '../../identity/spiffe.js';
import type { CopyCounters } from '../../system/copy.js';
import {
  type AccessPeer,
  type AccessRecord,
  logConnection,
  logEarlyFailure,
  logOpened,
} from '../../telemetry/access-log.js';
import type { RefusedAttempts } from '../../telemetry/refused-attempts.js';
import type {
  ConnectionMetrics,
  ResponseFlag,
  TrafficLabels,
  TrafficMetrics,
  TrafficPeer,
} from '../../telemetry/traffic-metrics.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';

/** A live connection as the state dump shows it. */
export interface ConnectionView {
  readonly direction: 'inbound' | 'outbound';
  readonly src: string;
  readonly originalDst: string | null;
  readonly actualDst: string;
  readonly protocol: 'HBONE' | 'TCP';
  readonly tls: TlsInfo | undefined;
  /** Inbound HBONE: the application's socket, as the far proxy tells it; `src` is that of a connection many share. */
  readonly client: string | undefined;
  /** Milliseconds from the arrival of the connection until both sides stood. */
  readonly setupMs: number;
}

export interface ConnectionInfo {
  readonly direction: 'inbound' | 'outbound';
  readonly source: HostPort;
  readonly sourceWorkload: KnownWorkload | undefined;
  /** Verified by the peer's certificate, or our own when we originate mTLS. */
  readonly sourceIdentity: SpiffeId | undefined;
  /** L4 next hop (outbound) or the address the connection arrived at (inbound). */
  readonly destination: HostPort;
  /** Where the application's bytes end up. */
  readonly actualDestination: HostPort;
  /** What the application asked for, as the dump shows it. */
  readonly originalDestination: string | null;
  readonly destinationWorkload: KnownWorkload | undefined;
  /** Verified identity of the far end, mTLS only. */
  readonly destinationIdentity: SpiffeId | undefined;
  readonly hboneAuthority: string | undefined;
  readonly service: KnownService | undefined;
  readonly tls: TlsInfo | undefined;
  /** `ip:port` of the application at the far end, as its proxy tells it. */
  readonly client?: string | undefined;
}

/**
 * One proxied connection from the moment it is admitted to its single result record. Byte counters are added to the
 * metrics when it closes and whenever metrics are read.
 */
export class ProxiedConnection {
  readonly #onClosed: (connection: ProxiedConnection) => void;

  /** Client to server is `aToB`. */
  readonly counters: CopyCounters = { aToB: 0, bToA: 0 };
  readonly #startedMs = performance.now();
  readonly #metrics: ConnectionMetrics;
  #reported = { aToB: 0, bToA: 0 };
  #isClosed = false;

  /** `setupMs`: how long it took until both sides stood. */
  constructor(
    readonly info: ConnectionInfo & { readonly setupMs: number },
    traffic: TrafficMetrics,
    onClosed: (connection: ProxiedConnection) => void,
  ) {
    this.#onClosed = onClosed;

    this.#metrics = traffic.open(labelsOf(info));
    logOpened(this.#record());
  }

  /** Adds what moved since the last call to the metrics. */
  flushBytes(): void {
    const { aToB, bToA } = this.counters;
    this.#metrics.addBytes(aToB - this.#reported.aToB, bToA - this.#reported.bToA);
    this.#reported = { aToB, bToA };
  }

  /** Writes the result record: metrics and one access log line. Later calls change nothing. */
  close(result: { flag: ResponseFlag; error?: string | undefined } = { flag: '-' }): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.flushBytes();
    this.#metrics.closed(result.flag);
    logConnection({ ...this.#record(), error: result.error });
    this.#onClosed(this);
  }

  view(): ConnectionView {
    const { info } = this;
    return {
      direction: info.direction,
      src: formatHostPort(info.source),
      originalDst: info.originalDestination,
      actualDst: formatHostPort(info.actualDestination),
      protocol: info.tls === undefined ? 'TCP' : 'HBONE',
      tls: info.tls,
      client: info.client,
      setupMs: Math.round(info.setupMs * 10) / 10,
    };
  }

  #record(): AccessRecord {
    return recordOf(this.info, this.counters, performance.now() - this.#startedMs);
  }
}

/** Where failures are told. */
interface FailureRecorders {
  readonly traffic: TrafficMetrics;
  readonly refused: RefusedAttempts;
}

/** Records a connection that was understood but never carried a byte. */
export function recordFailure(
  { traffic, refused }: FailureRecorders,
  info: ConnectionInfo,
  { flag, error }: { flag: ResponseFlag; error: string },
): void {
  traffic.fail(labelsOf(info), flag);
  const record = { ...recordOf(info, { aToB: 0, bToA: 0 }, 0), error };
  logConnection(record);
  refused.add(record, flag);
}

/** Records a connection that ended before it was known between whom it is. */
export function recordEarlyFailure(
  { refused }: Pick<FailureRecorders, 'refused'>,
  failure: { direction: 'inbound' | 'outbound'; source: HostPort; destination: HostPort; error: string },
  flag: ResponseFlag = 'CONNECT',
): void {
  const { direction, source, destination, error } = failure;
  const record = {
    direction,
    sourceAddress: formatHostPort(source),
    destinationAddress: formatHostPort(destination),
    error,
  };
  logEarlyFailure(record);
  refused.add(record, flag);
}

function recordOf(info: ConnectionInfo, counters: CopyCounters, durationMs: number): AccessRecord {
  const isOutbound = info.direction === 'outbound';
  return {
    direction: info.direction,
    sourceAddress: formatHostPort(info.source),
    source: accessPeer(info.sourceWorkload),
    sourceIdentity: info.tls === undefined ? undefined : info.sourceIdentity,
    destinationAddress: formatHostPort(info.destination),
    hboneAddress: info.hboneAuthority,
    service: info.service?.hostname,
    destination: accessPeer(info.destinationWorkload),
    destinationIdentity: info.tls === undefined ? undefined : info.destinationIdentity,
    bytesSent: isOutbound ? counters.aToB : counters.bToA,
    bytesReceived: isOutbound ? counters.bToA : counters.aToB,
    durationMs,
    error: undefined,
  };
}

function labelsOf(info: ConnectionInfo): TrafficLabels {
  const { service } = info;
  return {
    reporter: info.direction === 'outbound' ? 'source' : 'destination',
    source: trafficPeer(info.sourceWorkload),
    sourcePrincipal: info.tls === undefined ? undefined : info.sourceIdentity,
    destination: trafficPeer(info.destinationWorkload),
    destinationPrincipal: info.destinationWorkload?.identity,
    service:
      service === undefined
        ? undefined
        : { hostname: service.hostname, namespace: service.namespace, name: service.name },
    isMutualTls: info.tls !== undefined,
  };
}

function accessPeer(workload: KnownWorkload | undefined): AccessPeer | undefined {
  if (workload === undefined) return undefined;
  const { name, canonicalName, namespace, clusterId } = workload;
  return { workload: name || canonicalName, namespace, clusterId };
}

function trafficPeer(workload: KnownWorkload | undefined): TrafficPeer | undefined {
  if (workload === undefined) return undefined;
  const { workloadName, namespace, canonicalName, canonicalRevision, clusterId, locality } = workload;
  return { workloadName, namespace, canonicalName, canonicalRevision, clusterId, locality };
}
