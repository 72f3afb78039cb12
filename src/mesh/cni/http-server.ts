import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { messageOf } from '#base/errors/mesh-error.js';

export interface HttpAnswer {
  readonly status: number;
  readonly body?: string;
  readonly contentType?: string;
}

export interface HttpRequest {
  readonly query: URLSearchParams;
  readonly body: string;
}

/** Handlers by `METHOD /path`. */
export type HttpRoutes = Readonly<Record<string, (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>>>;

/** Where to listen: a TCP address, or a unix socket with its file mode. */
export type HttpAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string; readonly mode: number };

export interface RunningServer {
  readonly port: number | undefined;
  close(): Promise<void>;
}

const requestTimeoutMs = 30_000;
const bodyMaxBytes = 256 * 1024;

/** Serves a few routes over plain HTTP/1.1. Rejects when the address cannot be bound. */
export async function serveHttp(address: HttpAddress, routes: HttpRoutes): Promise<RunningServer> {
  const server = createServer((request, response) => {
    void answer(request, routes).then((result) => {
      response.writeHead(result.status, {
        'content-type': result.contentType ?? 'text/plain; charset=utf-8',
      });
      response.end(result.body ?? '');
    });
  });
  server.requestTimeout = requestTimeoutMs;
  server.headersTimeout = requestTimeoutMs;
  if ('path' in address) rmSync(address.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      'path' in address ? { path: address.path } : { host: address.host, port: address.port },
      resolve,
    );
  });
  if ('path' in address) chmodSync(address.path, address.mode);
  return { port: portOf(server), close: () => closeServer(server) };
}

/** A JSON answer. */
export function json(status: number, value: unknown): HttpAnswer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: 'application/json' };
}

async function answer(request: IncomingMessage, routes: HttpRoutes): Promise<HttpAnswer> {
  try {
    const url = new URL(request.url ?? '/', 'http://agent');
    const route = routes[`${request.method ?? 'GET'} ${url.pathname}`];
    if (route === undefined) return { status: 404, body: 'not found\n' };
    const body = await readBody(request);
    if (body === undefined) return { status: 413, body: `body larger than ${bodyMaxBytes} bytes\n` };
    return await route({ query: url.searchParams, body });
  } catch (error) {
    return { status: 500, body: `${messageOf(error)}\n` };
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bodyMaxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function portOf(server: Server): number | undefined {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : undefined;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
