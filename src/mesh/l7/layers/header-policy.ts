import { randomUUID } from 'node:crypto';
import { isIp } from '#base/net/address.js';
import type { HeaderList } from '../message/header-list.js';
import { serverName } from '../message/local-reply.js';

/**
 * Prepares request headers for the backend, in place: a caller's claim about its certificate is
 * removed (the application gets no identity header by default), a request id and the scheme are
 * added when absent. x-forwarded-for stays as the client sent it.
 */
export function prepareRequestHeaders(headers: HeaderList): void {
  headers.remove('x-forwarded-client-cert');
  headers.remove('expect');
  if (!headers.has('x-request-id')) headers.set('x-request-id', randomUUID());
  if (!headers.has('x-forwarded-proto')) headers.set('x-forwarded-proto', 'http');
}

/** Prepares response headers for the client, in place. */
export function prepareResponseHeaders(headers: HeaderList, upstreamServiceTimeMs: number): void {
  headers.set('server', serverName);
  headers.set('x-envoy-upstream-service-time', String(upstreamServiceTimeMs));
}

/**
 * Client address by forwarding headers: the last entry of x-forwarded-for, which the hop before us
 * wrote, or the connection's own address when there is none that reads as an address.
 */
export function remoteAddressOf(headers: HeaderList, peerIp: string): string {
  const last = headers.joined('x-forwarded-for')?.split(',').at(-1)?.trim();
  return last !== undefined && isIp(last) ? last : peerIp;
}
