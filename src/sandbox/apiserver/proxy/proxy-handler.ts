import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { formatHostPort } from '#base/net/authority.js';
import type { CertificateAndKey } from '../../base/pki.js';
import { apiError } from '../api-error.js';
import type { IncomingApiRequest, ApiExchange } from '../http/exchange.js';
import type { ResourcePath } from '../http/request-info.js';
import type { ObjectReader } from '../registry/resource.js';
import { BackendError, boundConnecting, connectTimeoutMs, forward, forwardUpgrade } from './forward.js';
import { pageStream } from './html-stream.js';
import { backendHeaders } from './proxy-headers.js';
import { type ProxyTarget, proxyTarget } from './proxy-target.js';

/** What a proxied request is, taken apart. */
interface Hop {
  readonly target: ProxyTarget;
  /** The URL up to and including `/proxy`. */
  readonly prefix: string;
  /** Path and query for the backend. */
  readonly path: string;
  readonly host: string;
}

/** The path behind `/proxy` exactly as the client wrote it: unescaping it would change it. */
function splitUrl(requestUrl: string): { prefix: string; rest: string; query: string } {
  const [path = '', query] = requestUrl.split(/\?(.*)/s);
  const match = /^(\/api\/v1\/(?:namespaces\/[^/]+\/)?[^/]+\/[^/]+\/proxy)(\/.*)?$/.exec(
    path.replace(/^\/+/, '/'),
  );
  return {
    prefix: match?.[1] ?? path,
    rest: match?.[2] ?? '',
    query: query === undefined ? '' : `?${query}`,
  };
}

/** Serves the proxy subresources of pods, services and nodes. */
export class ProxyHandler {
  readonly #reader: ObjectReader;
  readonly #kubeletIdentity: () => Promise<CertificateAndKey>;

  /** @param kubeletIdentity the client certificate with which the server asks kubelets. */
  constructor(reader: ObjectReader, kubeletIdentity: () => Promise<CertificateAndKey>) {
    this.#reader = reader;
    this.#kubeletIdentity = kubeletIdentity;
  }

  /** Forwards a request and its answer. Throws 400, 404 and 503 before an answer began. */
  async serve(exchange: ApiExchange, path: ResourcePath): Promise<void> {
    const { request, response } = exchange;
    const { prefix, rest, query } = splitUrl(request.url ?? '/');
    const target = proxyTarget(this.#reader, path);
    if (rest === '' && (request.method === 'GET' || request.method === 'HEAD')) {
      // Relative links of the page would otherwise miss a level. Other methods are no visits of a page.
      response.statusCode = 301;
      response.setHeader('Location', `${prefix}/${query}`);
      response.end();
      return;
    }
    const hop = {
      target,
      prefix,
      path: `${rest || '/'}${query}`,
      host: formatHostPort(target),
    };
    const outgoing = await this.#request(hop, request, {});
    const hosts = [hop.host, request.headers.host ?? ''];
    await forward(exchange, outgoing, {
      ...hop,
      path: rest,
      pageOf: (headers) => (request.method === 'HEAD' ? undefined : pageStream(headers, { prefix, hosts })),
    }).catch(refuse);
  }

  /** Joins an upgraded connection with one to the backend. Throws before the upgrade is answered. */
  async upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    path: ResourcePath,
    signal: AbortSignal,
  ): Promise<void> {
    const { prefix, rest, query } = splitUrl(request.url ?? '/');
    const target = proxyTarget(this.#reader, path);
    const hop = {
      target,
      prefix,
      path: `${rest || '/'}${query}`,
      host: formatHostPort(target),
    };
    const outgoing = await this.#request(hop, request, {
      connection: 'Upgrade',
      upgrade: request.headers.upgrade ?? 'websocket',
    });
    await forwardUpgrade({ socket, head, signal }, outgoing).catch(refuse);
  }

  async #request(
    hop: Hop,
    request: IncomingApiRequest,
    extra: Record<string, string>,
  ): Promise<ClientRequest> {
    const { target, path, host } = hop;
    const headers = backendHeaders(request.headers, {
      clientAddress: request.socket.remoteAddress,
      uri: hop.prefix + hop.path,
      host,
    });
    const options = {
      method: request.method ?? 'GET',
      host: target.host,
      port: target.port,
      path,
      headers: { ...headers, ...extra },
      timeout: connectTimeoutMs,
      agent: false,
    } as const;
    if (target.scheme === 'http') return boundConnecting(httpRequest(options));
    const identity = target.isNode ? await this.#kubeletIdentity() : undefined;
    return boundConnecting(
      httpsRequest({
        ...options,
        // As by Kubernetes: the address was chosen by the cluster, certificates of pods name no address.
        rejectUnauthorized: false,
        ...(identity === undefined ? {} : { cert: identity.certPem, key: identity.keyPem }),
      }),
    );
  }
}

function refuse(error: unknown): never {
  throw error instanceof BackendError ? apiError.unavailable(error.message) : error;
}
