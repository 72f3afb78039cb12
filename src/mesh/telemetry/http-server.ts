import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';

/** What a handler answers. */
export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

/** Answers a request, or undefined for 404. */
export type Handler = (
  request: IncomingMessage,
  url: URL,
) => Answer | undefined | Promise<Answer | undefined>;

const requestTimeoutMs = 30_000;
const connectionsMax = 256;

/** A small HTTP/1.1 server on several addresses of one port; an address the machine lacks is left out. */
export class HttpServer {
  private readonly servers: Server[] = [];

  private constructor(private readonly handler: Handler) {}

  static async listen(options: {
    hosts: readonly string[];
    port: number;
    handler: Handler;
  }): Promise<HttpServer> {
    const self = new HttpServer(options.handler);
    try {
      for (const host of options.hosts) await self.bind(host, options.port);
    } catch (error) {
      self.close();
      throw error;
    }
    return self;
  }

  /** Ends the server and its connections. */
  close(): void {
    for (const server of this.servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  }

  private async bind(host: string, port: number): Promise<void> {
    const server = createServer((request, response) => void this.answer(request, response));
    server.requestTimeout = requestTimeoutMs;
    server.maxConnections = connectionsMax;
    try {
      server.listen({ host, port });
      await once(server, 'listening');
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const isAbsent = code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
      if (isAbsent && host.includes(':')) return;
      throw error;
    }
    this.servers.push(server);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    let answer: Answer | undefined;
    try {
      answer = await this.handler(request, new URL(request.url ?? '/', 'http://localhost'));
    } catch (error) {
      answer = { status: 500, body: error instanceof Error ? error.message : String(error) };
    }
    const { status, body, contentType } = answer ?? {
      status: 404,
      body: 'not found',
      contentType: undefined,
    };
    response.writeHead(status, { 'content-type': contentType ?? 'text/plain; charset=utf-8' });
    response.end(body);
  }
}
