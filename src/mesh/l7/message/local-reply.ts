import { STATUS_CODES } from 'node:http';
import type { Exchange } from './exchange.js';
import { HeaderList } from './header-list.js';

/** Value of the `server` response header: what clients and tests of a mesh compare with. */
export const serverName = 'istio-envoy';

/** A response made here instead of by a backend. */
export interface LocalReply {
  readonly status: number;
  readonly body: string;
  readonly flags: readonly string[];
  /** For `response_code_details`. */
  readonly details: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** gRPC status of an HTTP status (google.rpc.Code), as gRPC clients map them. */
function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** Whether a request is gRPC, by its content type. */
export function isGrpc(headers: HeaderList): boolean {
  const type = headers.joined('content-type')?.toLowerCase() ?? '';
  return type === 'application/grpc' || /^application\/grpc[+;]/.test(type);
}

/** What was sent for a local reply: gRPC requests get their answer in trailers, under status 200. */
export interface SentReply {
  readonly status: number;
  readonly bodyBytes: number;
  readonly headers: HeaderList;
  readonly grpcStatus: number | undefined;
}

/** Sends a local reply. What still comes of the request's body is dropped. */
export function sendLocalReply(exchange: Exchange, reply: LocalReply): SentReply {
  exchange.body?.resume();
  const common: [string, string][] = [
    ...(reply.headers ?? []).map(([name, value]): [string, string] => [name, value]),
    ['date', new Date().toUTCString()],
    ['server', serverName],
  ];
  if (isGrpc(exchange.headers)) {
    const grpcStatus = grpcStatusOf(reply.status);
    const message = reply.body || STATUS_CODES[reply.status] || '';
    const headers = HeaderList.of(
      ['content-type', 'application/grpc'],
      ['grpc-status', String(grpcStatus)],
      ['grpc-message', encodeGrpcMessage(message)],
      ...common,
    );
    exchange.sendHead({ status: 200, headers, skipsBody: true }, true);
    return { status: 200, bodyBytes: 0, headers, grpcStatus };
  }
  const body = Buffer.from(reply.body);
  const headers = HeaderList.of(
    ['content-length', String(body.length)],
    ...(body.length > 0 ? [['content-type', 'text/plain'] as const] : []),
    ...common,
  );
  const isEmpty = body.length === 0 || exchange.method === 'HEAD';
  exchange.sendHead({ status: reply.status, headers, skipsBody: true }, isEmpty);
  if (!isEmpty) {
    exchange.out.write(body);
    exchange.finish([]);
  }
  return { status: reply.status, bodyBytes: isEmpty ? 0 : body.length, headers, grpcStatus: undefined };
}

/** Percent-encodes what grpc-message may not carry (gRPC over HTTP/2 specification). */
function encodeGrpcMessage(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** The answer to a refused request, exactly as existing clients and tests know it. */
export function rbacDenied(details: string): LocalReply {
  return { status: 403, body: 'RBAC: access denied', flags: [], details };
}

/** No endpoint to send the request to. */
export const noHealthyUpstream: LocalReply = {
  status: 503,
  body: 'no healthy upstream',
  flags: ['UH'],
  details: 'no_healthy_upstream',
};

/** Why a backend did not answer; the texts are what log searches look for. */
export type ResetReason =
  | 'remote connection failure'
  | 'connection timeout'
  | 'connection termination'
  | 'remote reset'
  | 'remote refused stream reset'
  | 'overflow'
  | 'protocol error';

/** The reply after a backend failed before its response began. */
export function upstreamReset(failure: {
  readonly reason: ResetReason;
  readonly transportFailure: string | undefined;
  readonly retryCount: number;
  readonly flags: readonly string[];
}): LocalReply {
  const { reason, transportFailure, retryCount, flags } = failure;
  const retried = retryCount > 0 ? 'retried and the latest reset reason' : 'reset reason';
  const suffix = transportFailure === undefined ? '' : `, transport failure reason: ${transportFailure}`;
  return {
    status: reason === 'protocol error' ? 502 : 503,
    body: `upstream connect error or disconnect/reset before headers. ${retried}: ${reason}${suffix}`,
    flags,
    details: `upstream_reset_before_response_started{${reason.replaceAll(' ', '_')}}`,
    ...(reason === 'overflow' ? { headers: [['x-envoy-overloaded', 'true']] } : {}),
  };
}
