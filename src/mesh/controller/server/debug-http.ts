import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { unmapIp } from '#base/net/address.js';
import { isInRange } from '#base/net/ranges.js';
import type { ControllerMetrics } from './controller-metrics.js';
import { type DebugPagesDeps, debugPages } from './debug-pages.js';
import type { TokenAuthenticator } from './token-authenticator.js';

export interface DebugHttpDeps extends DebugPagesDeps {
  readonly isReady: () => boolean;
  readonly version: string;
  readonly metrics: ControllerMetrics;
  readonly authenticator: TokenAuthenticator;
  readonly systemNamespace: string;
}

const requestTimeoutMs = 10_000;

/** Readiness, version, metrics and diagnostics on one port; resolves with the bound server. */
export function startDebugHttp(
  deps: DebugHttpDeps,
  at: { readonly host: string; readonly port: number },
): Promise<Server> {
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    answer(deps, request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...at }, () => resolve(server));
  });
}

async function answer(
  deps: DebugHttpDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // istioctl asks for `//version`.
  const path = (request.url ?? '/').replace(/\?.*$/s, '').replace(/^\/+/, '/');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'only GET\n');
  switch (path) {
    case '/ready':
      return deps.isReady() ? send(response, 200, '') : send(response, 503, 'the cluster is not read yet\n');
    case '/version':
      return send(response, 200, deps.version);
    case '/metrics':
      response.setHeader('content-type', deps.metrics.registry.contentType);
      return send(response, 200, await deps.metrics.registry.metrics());
    default:
      break;
  }
  const page = debugPages[path];
  if (page === undefined) return send(response, 404, 'not found\n');
  const refusal = await refuse(deps, request);
  if (refusal !== undefined) return send(response, refusal.status, refusal.text);
  response.setHeader('content-type', 'application/json');
  return send(response, 200, `${JSON.stringify(page(deps), undefined, 2)}\n`);
}

/** Diagnostics are for callers on the pod's own loopback (port-forward) and for the system namespace. */
async function refuse(
  deps: DebugHttpDeps,
  request: IncomingMessage,
): Promise<{ status: number; text: string } | undefined> {
  const remote = request.socket.remoteAddress ?? '';
  if (isInRange(unmapIp(remote), 'loopback')) return undefined;
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) return { status: 401, text: 'a service account token is needed\n' };
  try {
    const caller = await deps.authenticator.authenticate(token);
    if (caller === undefined) return { status: 401, text: 'the token is not accepted\n' };
    return caller.namespace === deps.systemNamespace
      ? undefined
      : { status: 403, text: 'only for the system namespace\n' };
  } catch {
    return { status: 503, text: 'the token cannot be checked now\n' };
  }
}

function send(response: ServerResponse, status: number, body: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(status);
  response.end(body);
}
