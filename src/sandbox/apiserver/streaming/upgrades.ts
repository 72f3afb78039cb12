import { type IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '#base/telemetry/log.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { ApiError, apiError } from '../api-error.js';
import { attributesOf, verbOf } from '../http/attributes.js';
import { type Dispatcher, urlOf } from '../serve/dispatcher.js';
import { parsePath } from '../http/request-info.js';
import { assertAllowed } from '../serve/reviews.js';
import { connectSubresources, type Router } from '../serve/router.js';
import type { AggregationProxy } from '../aggregation/aggregation-proxy.js';
import type { RemoteApis } from '../aggregation/remote-apis.js';
import type { ProxyHandler } from '../proxy/proxy-handler.js';
import type { Authorizer } from '../rbac/authorizer.js';
import type { Operations } from '../registry/operations.js';
import { admitConnection } from '../subresources/connect-options.js';
import type { LogSockets } from './log-sockets.js';
import type { PodStreams } from './pod-streams.js';
import type { WatchSockets } from './watch-sockets.js';
import type { UpgradeRequest } from './upgrade-request.js';

/** Upgraded connections open at a time. */
const streamsMax = 2_000;

export interface UpgradesDeps {
  readonly dispatcher: Dispatcher;
  readonly authorizer: Authorizer;
  readonly router: Router;
  readonly operations: Operations;
  readonly podStreams: PodStreams;
  readonly watchSockets: WatchSockets;
  readonly logSockets: LogSockets;
  readonly proxy: ProxyHandler;
  readonly remotes: RemoteApis;
  readonly aggregation: AggregationProxy;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Serves requests that leave HTTP by an upgrade: pod streams, proxied connections, watches and logs over WebSocket. */
export class Upgrades {
  readonly #deps: UpgradesDeps;
  #openCount = 0;

  constructor(deps: UpgradesDeps) {
    this.#deps = deps;
  }

  /** Takes over an upgrade request; refusals go out as ordinary HTTP answers. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    this.#serve(request, socket, head).catch((error: unknown) => {
      if (!(error instanceof ApiError)) {
        this.#deps.logger.debug('stream ended with an error', { error: messageOf(error) });
      }
      refuse(request, socket, error);
    });
  }

  async #serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { dispatcher, authorizer, router, operations, signal } = this.#deps;
    const { podStreams, watchSockets, logSockets, proxy } = this.#deps;
    const url = urlOf(request);
    const path = parsePath(url.pathname);
    const user = dispatcher.identify(request);
    if (path.kind !== 'resource') throw apiError.badRequest('this path is not upgraded');
    const isConnect = connectSubresources.has(path.subresource);
    // Kubernetes authorizes streams as `create` when posted and `get` when opened as a WebSocket.
    const verb = isConnect
      ? request.method === 'POST'
        ? 'create'
        : 'get'
      : verbOf(request.method ?? 'GET', path, url);
    assertAllowed(authorizer, user, attributesOf(path, verb, url));
    const remote = this.#deps.remotes.answering(path);
    const resource = router.resourceAt(path);
    if (remote === undefined && resource === undefined) throw apiError.unknownPath();
    if (this.#openCount >= streamsMax) throw apiError.unavailable('too many open streams');
    const gone = new AbortController();
    this.#openCount++;
    socket.once('close', () => {
      this.#openCount--;
      gone.abort();
    });
    signal.addEventListener('abort', () => socket.destroy(), { once: true, signal: gone.signal });
    const protocol = (request.headers.upgrade ?? '').toLowerCase();
    const upgrade: UpgradeRequest = { request, socket, head, url, path, protocol, signal: gone.signal };
    if (remote !== undefined)
      return this.#deps.aggregation.upgrade(request, { socket, head, signal: gone.signal }, user, remote);
    if (resource === undefined) throw apiError.unknownPath();
    if (isConnect) {
      await admitConnection(operations, resource, path, url.searchParams, { user });
      if (socket.destroyed) return;
    }
    if (path.subresource === 'proxy') return proxy.upgrade(request, socket, head, path, gone.signal);
    if (isConnect) return podStreams.serve(upgrade);
    if (resource.plural === 'pods' && path.subresource === 'log' && verb === 'get') {
      const pod = operations.get(resource, { namespace: path.namespace, name: path.name ?? '' });
      return logSockets.serve(upgrade, pod);
    }
    if (verb === 'watch') return watchSockets.serve(upgrade, resource);
    throw apiError.badRequest('this request is not upgraded');
  }
}

function refuse(request: IncomingMessage, socket: Duplex, error: unknown): void {
  if (
    socket.destroyed ||
    !(socket instanceof Socket) ||
    (socket.bytesWritten > 0 && !(error instanceof ApiError))
  ) {
    socket.destroy();
    return;
  }
  const status = error instanceof ApiError ? error : apiError.internal(messageOf(error));
  const body = Buffer.from(`${JSON.stringify(status.toStatus())}\n`);
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.shouldKeepAlive = false;
  response.writeHead(status.code, {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    Connection: 'close',
    ...(status.code === 401 ? { 'WWW-Authenticate': 'Bearer realm="kubernetes"' } : {}),
  });
  response.end(body, () => socket.end());
}
