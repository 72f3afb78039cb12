import { setTimeout as delay } from 'node:timers/promises';
import {
  type LocalReply,
  noHealthyUpstream,
  type ResetReason,
  upstreamReset,
} from '../../l7/message/local-reply.js';
import {
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../l7/message/upstream-request.js';
import { backoffMs, type Route } from '../../l7/route/route.js';
import { type ConnectionContext, serviceOf } from '../connection/connection-context.js';
import type { Backends } from '../upstream/backends.js';
import type { ConnectionPool } from '../upstream/connection-pool.js';
import { DialError, type DialPurpose } from '../upstream/dialer.js';
import type { Endpoint } from '../upstream/endpoint.js';

/** What a request needs to find its backend. */
export interface ForwarderDeps {
  readonly backends: Backends;
  readonly pool: ConnectionPool;
  readonly random: () => number;
}

/** A request to forward. */
export interface ForwardRequest {
  readonly connection: ConnectionContext;
  readonly downstreamVersion: '1.1' | '2';
  readonly route: Route;
  readonly upstream: UpstreamRequest;
}

/** A backend's answer, or the local one in its place. */
export type ForwardResult =
  | {
      readonly kind: 'answered';
      readonly endpoint: Endpoint;
      readonly response: UpstreamResponse;
      /** To be called when the exchange with the backend is over. */
      readonly release: () => void;
    }
  | {
      readonly kind: 'failed';
      readonly reply: LocalReply;
      readonly endpoint: Endpoint | undefined;
      readonly transportFailure: string | undefined;
    };

/** Methods a proxy may repeat by itself when a kept connection turned out closed (RFC 9110 9.2.2). */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/**
 * Sends a request to one of its destination's endpoints. A request no backend has seen is tried
 * again elsewhere: connection failures and refused streams, as the route allows; and once, on a new
 * connection, when a kept connection was closed under a request that is safe to repeat.
 */
export class Forwarder {
  readonly #deps: ForwarderDeps;

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
  }

  async forward(request: ForwardRequest): Promise<ForwardResult> {
    const { connection, route, upstream } = request;
    const tried = new Set<string>();
    let isFresh = false;
    let retryCount = 0;
    for (;;) {
      const endpoint = this.#deps.backends.pick(connection, tried);
      if (endpoint === undefined) {
        return { kind: 'failed', reply: noHealthyUpstream, endpoint, transportFailure: undefined };
      }
      tried.add(endpoint.key);
      const release = this.#deps.backends.begin(endpoint);
      try {
        const response = await this.#send(request, endpoint, isFresh);
        return { kind: 'answered', endpoint, response, release };
      } catch (error) {
        release();
        const failure = classify(error);
        if (failure === undefined || upstream.signal.aborted) throw error;
        if (!isFresh && isStale(error, upstream)) {
          isFresh = true;
          tried.delete(endpoint.key);
          continue;
        }
        if (!failure.isRetriable || !isRepeatable(error, upstream) || retryCount >= route.retry.retriesMax) {
          const flags = [failure.flag, ...(retryCount > 0 ? ['URX'] : [])];
          const { reason, transportFailure } = failure;
          const reply = upstreamReset({ reason, transportFailure, retryCount, flags });
          return { kind: 'failed', reply, endpoint, transportFailure };
        }
        retryCount++;
        const pauseMs = backoffMs(route.retry, retryCount, this.#deps.random());
        await delay(pauseMs, undefined, { signal: upstream.signal });
      }
    }
  }

  async #send(request: ForwardRequest, endpoint: Endpoint, isFresh: boolean): Promise<UpstreamResponse> {
    const { connection, downstreamVersion, upstream } = request;
    const purpose: DialPurpose = {
      serviceHostname: serviceOf(connection)?.hostname,
      signal: upstream.signal,
    };
    if (upstreamVersion(connection, downstreamVersion) === '2' && upstream.upgrade === undefined) {
      return (await this.#deps.pool.http2(endpoint, purpose)).send(upstream);
    }
    // A connection that switches protocols never comes back, so it is not taken from the kept ones.
    const options = { isFresh: isFresh || upstream.upgrade !== undefined };
    return (await this.#deps.pool.http1(endpoint, purpose, options)).send(upstream);
  }
}

/** The HTTP version for the backend: what the port declares, else what the client speaks. */
function upstreamVersion({ destination }: ConnectionContext, downstream: '1.1' | '2'): '1.1' | '2' {
  if (destination.protocol === 'http1') return '1.1';
  return destination.protocol === 'http2' ? '2' : downstream;
}

interface Failure {
  readonly reason: ResetReason;
  readonly flag: string;
  readonly isRetriable: boolean;
  readonly transportFailure: string | undefined;
}

function classify(error: unknown): Failure | undefined {
  if (error instanceof DialError) {
    const { reason, isRetriable, message } = error;
    return { reason, flag: 'UF', isRetriable, transportFailure: message };
  }
  if (error instanceof UpstreamError) {
    const { reason, isUnprocessed } = error;
    const flag = reason === 'protocol error' ? 'UPE' : reason === 'connection termination' ? 'UC' : 'UR';
    return { reason, flag, isRetriable: isUnprocessed, transportFailure: undefined };
  }
  return undefined;
}

/** Whether the failure is a kept connection that the backend had closed, under a request safe to repeat. */
function isStale(error: unknown, { method, body }: UpstreamRequest): boolean {
  return (
    error instanceof UpstreamError && error.isReused && body === undefined && idempotentMethods.has(method)
  );
}

/** Whether the request can still be sent whole: nothing of its body was read. */
function isRepeatable(error: unknown, { body }: UpstreamRequest): boolean {
  return error instanceof DialError || body === undefined;
}
