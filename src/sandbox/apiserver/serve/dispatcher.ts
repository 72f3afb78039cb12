import { randomUUID } from 'node:crypto';
import { parseGoDuration } from '#base/time/duration.js';
import type { Logger } from '#base/telemetry/log.js';
import type { Authenticator } from '../auth/authenticator.js';
import { impersonate } from '../auth/impersonation.js';
import type { UserInfo } from '../user.js';
import type { Authorizer } from '../rbac/authorizer.js';
import { StoreUnavailable } from '../storage/store.js';
import { ApiError, apiError } from '../api-error.js';
import { verbOf } from '../http/attributes.js';
import {
  type Answering,
  type IncomingApiRequest,
  type ApiResponse,
  type ApiExchange,
  sendJson,
} from '../http/exchange.js';
import { acceptedByDefault, negotiate } from '../http/negotiation.js';
import { queryFlag } from '../http/query.js';
import { parsePath } from '../http/request-info.js';
import type { RequestMetrics } from '../http/request-metrics.js';
import { connectSubresources, type Router } from './router.js';

export interface DispatcherDeps {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly router: Router;
  readonly metrics: RequestMetrics;
  readonly logger: Logger;
}

/** How long a request may take that is neither a watch nor a stream. */
const requestTimeoutMs = 60_000;
const auditIdMaxLength = 256;

/** One reason for all: making an error for each request costs more than the rest of its end. */
const clientGone = new Error('the client is gone or the server closes');

/** The id under which a request can be found: the client's own, when it sent a sensible one. */
function auditIdOf(request: IncomingApiRequest): string {
  const sent = request.headers['audit-id'];
  return typeof sent === 'string' && /^[\x21-\x7e]+$/.test(sent) && sent.length <= auditIdMaxLength
    ? sent
    : randomUUID();
}

/** The URL of a request. Throws 400 for one that cannot be read. */
export function urlOf(request: IncomingApiRequest): URL {
  const text = request.url ?? '/';
  try {
    // Clients may send the absolute form; a path with two slashes in front is no host.
    return new URL(text.startsWith('/') ? `https://localhost${text}` : text);
  } catch {
    throw apiError.badRequest('the request URL is malformed');
  }
}

/** Whether a request may take as long as it likes. */
function isLongRunning(exchange: ApiExchange): boolean {
  const { path, url, request } = exchange;
  if (path.kind !== 'resource') return false;
  if (connectSubresources.has(path.subresource)) return true;
  if (path.subresource === 'log') return queryFlag(url.searchParams, 'follow');
  return verbOf(request.method ?? 'GET', path, url) === 'watch';
}

/** Milliseconds the client gives its request, when it says so. Throws 400 for nonsense. */
function askedTimeoutMs(url: URL): number {
  const text = url.searchParams.get('timeout');
  if (text === null || text === '') return requestTimeoutMs;
  const { ns, problem } = parseGoDuration(text);
  if (ns === undefined)
    throw apiError.badRequest(`invalid timeout specified in the request URL - ${problem}`);
  return ns <= 0n ? requestTimeoutMs : Math.min(Number(ns) / 1e6, requestTimeoutMs);
}

/** Takes every request through authentication and to its route, and turns what is thrown into Status answers. */
export class Dispatcher {
  readonly #deps: DispatcherDeps;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingApiRequest, response: ApiResponse, serverSignal: AbortSignal): Promise<void> {
    const gone = new AbortController();
    const leave = (): void => gone.abort(clientGone);
    response.once('close', leave);
    // A client that goes away while it is answered is no error of ours.
    response.on('error', leave);
    serverSignal.addEventListener('abort', leave, { once: true });
    const answering: Answering = { request, response, warnings: [] };
    response.setHeader('Audit-Id', auditIdOf(request));
    const finish = this.#deps.metrics.begin(request);
    let deadline: NodeJS.Timeout | undefined;
    let exchange: ApiExchange | undefined;
    try {
      const url = urlOf(request);
      const path = parsePath(url.pathname);
      const user = this.identify(request);
      const accepted =
        path.kind === 'resource' &&
        !connectSubresources.has(path.subresource) &&
        !this.#deps.router.isRemote(path)
          ? negotiate(request.headers.accept, this.#deps.router.formLimits(path))
          : acceptedByDefault;
      exchange = { ...answering, url, path, user, accepted, signal: gone.signal };
      if (!isLongRunning(exchange)) {
        deadline = setTimeout(() => {
          // The connection is of no more use once the client knows.
          response.once('finish', () => request.destroy());
          this.#refuse(answering, apiError.timeout('request did not complete within the allotted timeout'));
        }, askedTimeoutMs(url));
      }
      await this.#deps.router.route(exchange);
    } catch (error) {
      this.#refuse(exchange ?? answering, error);
    } finally {
      clearTimeout(deadline);
      serverSignal.removeEventListener('abort', leave);
      finish(response.statusCode, exchange);
    }
  }

  /** Who is asking, after impersonation. Throws 401 or 403. */
  identify(request: IncomingApiRequest): UserInfo {
    return impersonate(request, this.#deps.authenticator.authenticate(request), this.#deps.authorizer);
  }

  #refuse(exchange: Answering, error: unknown): void {
    const { response, request } = exchange;
    if (response.destroyed) return;
    const status = this.#statusOf(request, error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (status.code === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="kubernetes"');
    if (status.details?.retryAfterSeconds !== undefined) {
      response.setHeader('Retry-After', status.details.retryAfterSeconds);
    }
    // The rest of an unread body is not worth receiving.
    if (!request.complete && request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
    sendJson(exchange, status.code, status.toStatus());
  }

  #statusOf(request: IncomingApiRequest, error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const text = error instanceof Error ? error.message : String(error);
    // Clients that leave in the middle of their body are not our failure; a full disk was told once.
    if (!request.destroyed && !(error instanceof StoreUnavailable)) {
      this.#deps.logger.error('request failed', {
        method: request.method,
        url: request.url?.slice(0, 300),
        error: error instanceof Error ? (error.stack ?? text) : text,
      });
    }
    return apiError.internal(text);
  }
}
