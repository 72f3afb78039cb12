import { createLogger } from '#base/telemetry/log.js';

/** One end of a connection as the access log names it. */
export interface AccessPeer {
  /** Pod name, else canonical service. */
  readonly workload: string;
  readonly namespace: string;
  readonly clusterId: string;
}

/** A finished connection. Field names follow upstream's L4 access log. */
export interface AccessRecord {
  readonly direction: 'inbound' | 'outbound';
  readonly sourceAddress: string;
  readonly source: AccessPeer | undefined;
  /** Only when the connection is mTLS. */
  readonly sourceIdentity: string | undefined;
  /** L4 next hop; inbound HBONE shows port 15008. */
  readonly destinationAddress: string;
  /** Authority of the CONNECT. */
  readonly hboneAddress: string | undefined;
  readonly service: string | undefined;
  readonly destination: AccessPeer | undefined;
  readonly destinationIdentity: string | undefined;
  /** From the proxy's own view: outbound sends what the client sent. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly durationMs: number;
  readonly error: string | undefined;
}

const log = createLogger('access');

/** Writes the one line a connection gets, when it ends. */
export function logConnection(record: AccessRecord): void {
  const fields = {
    ...connectionFields(record),
    bytes_sent: record.bytesSent,
    bytes_recv: record.bytesReceived,
    duration: `${Math.round(record.durationMs)}ms`,
    ...(record.error === undefined ? {} : { error: record.error }),
  };
  if (record.error === undefined) log.info('connection complete', fields);
  else log.error('connection complete', fields);
}

/** Writes the debug line of a connection that was opened. */
export function logOpened(
  record: Omit<AccessRecord, 'bytesSent' | 'bytesReceived' | 'durationMs' | 'error'>,
): void {
  log.debug('connection opened', connectionFields(record));
}

/** Writes the line of a connection that ended before anything was known of it. */
export function logEarlyFailure(record: {
  sourceAddress: string;
  destinationAddress: string;
  direction: 'inbound' | 'outbound';
  error: string;
}): void {
  log.warn('connection failed', {
    'src.addr': record.sourceAddress,
    'dst.addr': record.destinationAddress,
    direction: record.direction,
    error: record.error,
  });
}

function connectionFields(
  record: Omit<AccessRecord, 'bytesSent' | 'bytesReceived' | 'durationMs' | 'error'>,
): Record<string, unknown> {
  const all: Record<string, string | undefined> = {
    'src.addr': record.sourceAddress,
    'src.workload': record.source?.workload,
    'src.namespace': record.source?.namespace,
    'src.identity': record.sourceIdentity,
    'src.cluster': record.source?.clusterId,
    'dst.addr': record.destinationAddress,
    'dst.hbone_addr': record.hboneAddress,
    'dst.service': record.service,
    'dst.workload': record.destination?.workload,
    'dst.namespace': record.destination?.namespace,
    'dst.identity': record.destinationIdentity,
    'dst.cluster': record.destination?.clusterId,
    direction: record.direction,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== ''));
}
