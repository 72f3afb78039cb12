import type { CopyCounters } from '../../system/copy.js';
import type { KnownWorkload } from '../../view/known.js';
import type { ConnectionContext } from '../connection/connection-context.js';
import type { Endpoint } from '../upstream/endpoint.js';

/** What an HTTP request leaves behind: one log line and one sample of each metric. */
export interface RequestRecord {
  readonly connection: ConnectionContext;
  /** Milliseconds since the epoch. */
  readonly startMs: number;
  readonly method: string;
  /** As the client sent it. */
  readonly path: string;
  readonly protocol: string;
  readonly authority: string | undefined;
  readonly userAgent: string | undefined;
  readonly forwardedFor: string | undefined;
  readonly isGrpc: boolean;
  requestId: string | undefined;
  /** 0: the client went away before there was one. */
  status: number;
  readonly flags: string[];
  details: string | undefined;
  transportFailure: string | undefined;
  grpcStatus: string | undefined;
  /** Body bytes, as logged. */
  receivedBytes: number;
  sentBytes: number;
  /** With headers, as counted by the size metrics. */
  requestHeaderBytes: number;
  responseHeaderBytes: number;
  durationMs: number;
  upstreamServiceTimeMs: number | undefined;
  endpoint: Endpoint | undefined;
  routeName: string | undefined;
}

/** What a TCP connection through the gateway leaves behind. */
export interface TcpConnectionRecord {
  readonly connection: ConnectionContext;
  readonly startMs: number;
  readonly flags: string[];
  /** Why the proxy ended it. */
  terminationDetails: string | undefined;
  transportFailure: string | undefined;
  receivedBytes: number;
  sentBytes: number;
  durationMs: number;
  endpoint: Endpoint | undefined;
}

/** Where records go. Each record is handed over exactly once, complete. */
export interface Telemetry {
  request(record: RequestRecord): void;
  connectionOpened(record: TcpConnectionRecord): void;
  connectionClosed(record: TcpConnectionRecord): void;
}

/** The byte counts of a record, for copying: client to backend is `aToB`. */
export function recordedBytes(record: { receivedBytes: number; sentBytes: number }): CopyCounters {
  return {
    get aToB() {
      return record.receivedBytes;
    },
    set aToB(bytes) {
      record.receivedBytes = bytes;
    },
    get bToA() {
      return record.sentBytes;
    },
    set bToA(bytes) {
      record.sentBytes = bytes;
    },
  };
}

/** Name of what a connection is routed to, as upstream's cluster names are. */
export function clusterName({ destination }: ConnectionContext, protocol: 'http' | 'tcp'): string {
  return destination.kind === 'service'
    ? `inbound-vip|${destination.address.port}|${protocol}|${destination.service.hostname}`
    : `direct-${protocol}`;
}

/** Name of what runs a workload, for labels. */
export function workloadNameFor(workload: KnownWorkload | undefined): string {
  return workload?.workloadName || workload?.name || 'unknown';
}

/** Canonical service of a workload, for labels. */
export function canonicalService(workload: KnownWorkload | undefined): string {
  return workload?.canonicalName || workloadNameFor(workload);
}
