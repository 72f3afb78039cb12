import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';
import { messageOf } from '#base/errors/mesh-error.js';

/** What a handler answers. */
export interface Answer {
  readonly status: number;
  readonly contentType?: string | undefined;
  readonly body?: string | undefined;
}

/** Answers a request, or undefined when the path is not its own. */
export type Handler = (
  request: IncomingMessage,
  url: URL,
) => Answer | undefined | Promise<Answer | undefined>;

/** Where to listen: addresses of one port, or a unix socket with its file mode. */
export type ListenAddress =
  | { readonly hosts: readonly string[]; readonly port: number }
  | { readonly path: string; readonly mode: number };

const requestTimeoutMs = 30_000;
const connectionsMax = 256;
const bodyMaxBytes = 256 * 1024;

/**
 * The small HTTP/1.1 server of every program: admin, readiness, metrics, node-local sockets. The first handler that
 * knows the path answers; nobody: 404. An IPv6 address that the machine lacks is left out.
 */
export class HttpServer {
  readonly #handlers: readonly Handler[];
  readonly #servers: Server[] = [];

  private constructor(handlers: readonly Handler[]) {
    this.#handlers = handlers;
  }

  /** Rejects when an address cannot be bound. */
  static async listen(address: ListenAddress, ...handlers: readonly Handler[]): Promise<HttpServer> {
    const self = new HttpServer(handlers);
    try {
      if ('path' in address) await self.#bindPath(address.path, address.mode);
      else for (const host of address.hosts) await self.#bindHost(host, address.port);
    } catch (error) {
      self.close();
      throw error;
    }
    return self;
  }

  /** The bound port; undefined for a unix socket. */
  get port(): number | undefined {
    const bound = this.#servers[0]?.address();
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }

  /** Ends the server and its connections. */
  close(): void {
    for (const server of this.#servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  }

  async #bindPath(path: string, mode: number): Promise<void> {
    rmSync(path, { force: true });
    await this.#bind({ path });
    chmodSync(path, mode);
  }

  async #bindHost(host: string, port: number): Promise<void> {
    try {
      await this.#bind({ host, port });
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const isAbsent = code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
      if (!isAbsent || !host.includes(':')) throw error;
    }
  }

  async #bind(at: ListenOptions): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    server.requestTimeout = requestTimeoutMs;
    server.headersTimeout = requestTimeoutMs;
    server.maxConnections = connectionsMax;
    server.listen(at);
    await once(server, 'listening');
    this.#servers.push(server);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#ask(request).catch(
      (error: unknown): Answer => ({ status: 500, body: `${messageOf(error)}\n` }),
    );
    // What no handler read is read away: the connection can be used again.
    request.resume();
    const { status, body, contentType } = answer;
    response.writeHead(status, { 'content-type': contentType ?? 'text/plain; charset=utf-8' });
    response.end(body);
  }

  async #ask(request: IncomingMessage): Promise<Answer> {
    let url: URL;
    try {
      // Some clients write `//version`; it is a path, not a host.
      url = new URL((request.url ?? '/').replace(/^\/+/, '/'), 'http://localhost');
    } catch {
      return { status: 400, body: 'the request target cannot be read\n' };
    }
    for (const handler of this.#handlers) {
      const answer = await handler(request, url);
      if (answer !== undefined) return answer;
    }
    return { status: 404, body: 'not found\n' };
  }
}

/** A handler of one method and path. Its body is read up to 256 KiB; a larger one is answered with 413. */
export function route(
  method: 'GET' | 'POST',
  path: string,
  answer: (request: { readonly query: URLSearchParams; readonly body: string }) => Answer | Promise<Answer>,
): Handler {
  return async (request, url) => {
    if (url.pathname !== path) return undefined;
    if (request.method !== method) return { status: 405, body: `only ${method}\n` };
    const body = await readBody(request);
    if (body === undefined) return { status: 413, body: `body larger than ${bodyMaxBytes} bytes\n` };
    return answer({ query: url.searchParams, body });
  };
}

/** A JSON answer on one line. */
export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: 'application/json' };
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
