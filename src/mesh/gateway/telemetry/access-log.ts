import { formatAddress } from '../../l7/message/address.js';
import { clusterName, type TcpConnectionRecord, type RequestRecord } from './request-record.js';

/** Where log lines of requests go: nowhere, upstream's default text format, or one JSON object a line. */
export type AccessLogEncoding = 'off' | 'text' | 'json';

type Fields = Record<string, string | number | null>;

/** Keys of the quoted operators of the text format, in its order. */
const layout: readonly (string | readonly string[])[] = [
  'response_code',
  'response_flags',
  'response_code_details',
  'connection_termination_details',
  ['upstream_transport_failure_reason'],
  'bytes_received',
  'bytes_sent',
  'duration',
  'upstream_service_time',
  ['x_forwarded_for'],
  ['user_agent'],
  ['request_id'],
  ['authority'],
  ['upstream_host'],
  'upstream_cluster',
  'upstream_local_address',
  'downstream_local_address',
  'downstream_remote_address',
  'requested_server_name',
  'route_name',
];

/**
 * Writes one line per request or TCP connection, in upstream's default text format or as JSON with
 * upstream's keys. Values from clients are escaped, so that they cannot forge fields or lines.
 */
export class AccessLog {
  readonly #encoding: AccessLogEncoding;
  readonly #write: (line: string) => void;

  constructor(encoding: AccessLogEncoding, write: (line: string) => void) {
    this.#encoding = encoding;
    this.#write = write;
  }

  request(record: RequestRecord): void {
    if (this.#encoding === 'off') return;
    const { connection } = record;
    this.#emit({
      start_time: new Date(record.startMs).toISOString(),
      method: record.method,
      path: record.path,
      protocol: record.protocol,
      response_code: record.status,
      response_flags: record.flags.length === 0 ? '-' : record.flags.join(','),
      response_code_details: record.details ?? null,
      connection_termination_details: null,
      upstream_transport_failure_reason: record.transportFailure ?? null,
      bytes_received: record.receivedBytes,
      bytes_sent: record.sentBytes,
      duration: record.durationMs,
      upstream_service_time: record.upstreamServiceTimeMs ?? null,
      x_forwarded_for: record.forwardedFor ?? null,
      user_agent: record.userAgent ?? null,
      request_id: record.requestId ?? null,
      authority: record.authority ?? null,
      upstream_host: record.endpoint === undefined ? null : formatAddress(record.endpoint),
      upstream_cluster: clusterName(connection, 'http'),
      upstream_local_address: null,
      downstream_local_address: formatAddress(connection.destination.address),
      downstream_remote_address: formatAddress(connection.peerAddress),
      requested_server_name: null,
      route_name: record.routeName ?? null,
    });
  }

  connection(record: TcpConnectionRecord): void {
    if (this.#encoding === 'off') return;
    const { connection } = record;
    this.#emit({
      start_time: new Date(record.startMs).toISOString(),
      method: null,
      path: null,
      protocol: null,
      response_code: 0,
      response_flags: record.flags.length === 0 ? '-' : record.flags.join(','),
      response_code_details: null,
      connection_termination_details: record.terminationDetails ?? null,
      upstream_transport_failure_reason: record.transportFailure ?? null,
      bytes_received: record.receivedBytes,
      bytes_sent: record.sentBytes,
      duration: record.durationMs,
      upstream_service_time: null,
      x_forwarded_for: null,
      user_agent: null,
      request_id: null,
      authority: null,
      upstream_host: record.endpoint === undefined ? null : formatAddress(record.endpoint),
      upstream_cluster: clusterName(connection, 'tcp'),
      upstream_local_address: null,
      downstream_local_address: formatAddress(connection.destination.address),
      downstream_remote_address: formatAddress(connection.peerAddress),
      requested_server_name: null,
      route_name: null,
    });
  }

  #emit(fields: Fields): void {
    this.#write(this.#encoding === 'json' ? `${JSON.stringify(fields)}\n` : textLine(fields));
  }
}

function textLine(fields: Fields): string {
  const value = (key: string): string => escape(String(fields[key] ?? '-'));
  const parts = layout.map((part) =>
    typeof part === 'string' ? bare(value(part)) : `"${value(part[0] ?? '')}"`,
  );
  return `[${value('start_time')}] "${value('method')} ${value('path')} ${value('protocol')}" ${parts.join(' ')}\n`;
}

/** A value without quotes cannot hold the blank that would end it. */
function bare(text: string): string {
  return text === '' ? '-' : text.replaceAll(' ', '_');
}

function escape(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f"\\]/g, (char) =>
    char === '"' || char === '\\' ? `\\${char}` : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
