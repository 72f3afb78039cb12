import type { ClientRequest, IncomingMessage } from 'node:http';
import { messageOf } from '#base/errors/mesh-error.js';
import type { UserInfo } from '../user.js';
import { apiError } from '../api-error.js';
import { type IncomingApiRequest, type ApiExchange, sendText } from '../http/exchange.js';
import { BackendError, forward, forwardUpgrade, type UpgradedClient } from '../proxy/forward.js';
import { backendHeaders } from '../proxy/proxy-headers.js';
import { identityHeaders, isIdentityHeader } from './front-proxy.js';
import type { RemoteApi, RemoteApis } from './remote-apis.js';

const textType = 'text/plain; charset=utf-8';

/** Takes requests to the API servers that answer for them, and says who makes them. */
export class AggregationProxy {
  readonly #remotes: RemoteApis;

  constructor(remotes: RemoteApis) {
    this.#remotes = remotes;
  }

  /** Forwards a request, which its user may make, and the answer to it. */
  async serve(exchange: ApiExchange, remote: RemoteApi): Promise<void> {
    const { request, user } = exchange;
    const path = request.url ?? '/';
    try {
      const outgoing = this.#open(remote, request, user, {});
      const base = { prefix: '', host: this.#remotes.hostOf(remote), path };
      await forward(exchange, outgoing, base);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      sendText(exchange, 503, textType, `${error.message}\n`);
    }
  }

  /** Joins an upgraded connection with one to the server. Throws 503 before the upgrade is answered. */
  async upgrade(
    request: IncomingMessage,
    client: UpgradedClient,
    user: UserInfo,
    remote: RemoteApi,
  ): Promise<void> {
    try {
      const upgrade = request.headers.upgrade ?? 'websocket';
      await forwardUpgrade(client, this.#open(remote, request, user, { connection: 'Upgrade', upgrade }));
    } catch (error) {
      throw error instanceof BackendError ? apiError.unavailable(error.message) : error;
    }
  }

  #open(
    remote: RemoteApi,
    request: IncomingApiRequest,
    user: UserInfo,
    extra: Readonly<Record<string, string>>,
  ): ClientRequest {
    if (!remote.isAvailable) throw new BackendError('service unavailable');
    const path = request.url ?? '/';
    const headers = Object.fromEntries(
      Object.entries(
        backendHeaders(request.headers, {
          clientAddress: request.socket.remoteAddress,
          uri: path,
          host: this.#remotes.hostOf(remote),
        }),
      ).filter(([name]) => !isIdentityHeader(name)),
    );
    try {
      return this.#remotes.open(remote, {
        method: request.method ?? 'GET',
        path,
        headers: { ...headers, ...identityHeaders(user), ...extra },
      });
    } catch (error) {
      throw new BackendError(`service unavailable: ${messageOf(error)}`);
    }
  }
}
