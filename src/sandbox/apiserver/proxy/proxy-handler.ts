import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../../errors/mesh-error.js';
import type { CertificateAndKey } from '../auth/pki.js';
import { apiError } from '../http/api-error.js';
import type { ApiRequest, Exchange } from '../http/exchange.js';
import type { ResourcePath } from '../http/request-info.js';
import type { ObjectReader } from '../registry/resource.js';
import { pageStream } from './html-stream.js';
import { backendHeaders, clientHeaders, hostHeader } from './proxy-headers.js';
import { type ProxyTarget, proxyTarget } from './proxy-target.js';

const connectTimeoutMs = 30_000;

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
  async serve(exchange: Exchange, path: ResourcePath): Promise<void> {
    const { request, response, signal } = exchange;
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
      host: hostHeader(target.host, target.port),
    };
    const outgoing = await this.#request(hop, request, {});
    signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve);
      outgoing.once('error', reject);
    });
    request.pipe(outgoing);
    const answer = await answered.catch((error: unknown) => {
      throw apiError.unavailable(`error trying to reach service: ${messageOf(error)}`);
    });
    response.statusCode = answer.statusCode ?? 502;
    const hosts = [hop.host, request.headers.host ?? ''];
    const page = request.method === 'HEAD' ? undefined : pageStream(answer.headers, { prefix, hosts });
    if (page !== undefined) delete answer.headers['content-length'];
    for (const [name, value] of clientHeaders(answer.headers, { ...hop, path: rest }))
      response.setHeader(name, value);
    response.flushHeaders();
    // Either side may leave in the middle of an answer.
    await (page === undefined ? pipeline(answer, response) : pipeline(answer, page, response)).catch(
      () => undefined,
    );
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
      host: hostHeader(target.host, target.port),
    };
    const outgoing = await this.#request(hop, request, {
      connection: 'Upgrade',
      upgrade: request.headers.upgrade ?? 'websocket',
    });
    signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
    await new Promise<void>((resolve, reject) => {
      outgoing.once('error', (error) =>
        reject(apiError.unavailable(`error trying to reach service: ${error.message}`)),
      );
      outgoing.once('upgrade', (answer, backend: Duplex, first) => {
        socket.write(headOf(answer));
        if (first.length > 0) socket.write(first);
        if (head.length > 0) backend.write(head);
        void Promise.allSettled([pipeline(socket, backend), pipeline(backend, socket)]).then(() => resolve());
      });
      outgoing.once('response', (answer) => {
        // The backend does not upgrade: its refusal is the answer.
        answer.headers.connection = 'close';
        socket.write(headOf(answer));
        void pipeline(answer, socket)
          .catch(() => undefined)
          .then(() => resolve());
      });
      outgoing.end();
    });
  }

  async #request(hop: Hop, request: ApiRequest, extra: Record<string, string>): Promise<ClientRequest> {
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
    if (target.scheme === 'http') return withoutIdleLimit(httpRequest(options));
    const identity = target.isNode ? await this.#kubeletIdentity() : undefined;
    return withoutIdleLimit(
      httpsRequest({
        ...options,
        // As by Kubernetes: the address was chosen by the cluster, certificates of pods name no address.
        rejectUnauthorized: false,
        ...(identity === undefined ? {} : { cert: identity.certPem, key: identity.keyPem }),
      }),
    );
  }
}

/** Lets the timeout bound the connecting only: answers may pause as long as they like. */
function withoutIdleLimit(outgoing: ClientRequest): ClientRequest {
  outgoing.once('timeout', () => {
    if (outgoing.socket?.connecting !== false) outgoing.destroy(new Error('i/o timeout'));
  });
  return outgoing;
}

function headOf(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? '';
    if (name.toLowerCase() === 'transfer-encoding') continue;
    lines.push(`${name}: ${answer.rawHeaders[i + 1] ?? ''}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
