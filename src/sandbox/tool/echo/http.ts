import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { isGrpcRequest, serveGrpc } from './grpc.js';
import { type Identity, plainAddress, renderJson, renderText, type Seen } from './report.js';
import { createTlsServer, seenTls, type TlsFiles } from './tls.js';
import { upgradeToWebSocket } from './websocket.js';

/** Request bodies are echoed up to this size; longer ones are counted and cut. */
const bodyEchoMaxBytes = 64 * 1024;
/** Ceiling of the size a request may ask for with `?size=`. */
const replyMaxBytes = 1024 * 1024 * 1024;
const delayMaxMs = 600_000;
const http2Preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** A client that sends nothing is closed after this long. */
const firstByteTimeoutMs = 60_000;

/** How every reply is shaped, unless the request's query (`status`, `delay`, `size`, `format`) says otherwise. */
export interface EchoOptions {
  readonly identity: Identity;
  readonly status: number;
  readonly delayMs: number;
  /** Called with one line per request. */
  readonly log: (line: string) => void;
}

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** An HTTP/1.1, HTTP/2 (prior knowledge), WebSocket and gRPC echo server on one port, told apart by the first bytes. */
export interface EchoServer {
  readonly tcp: TcpServer;
  /** The same behind TLS; undefined when no certificate was given. */
  readonly tls: TcpServer | undefined;
  /** Stops accepting, lets requests in flight finish for at most `graceMs`, then closes. */
  close(graceMs: number): Promise<void>;
}

/** Creates the server; the caller listens with `server.tcp.listen`. */
export function createEchoServer(options: EchoOptions, tlsFiles?: TlsFiles): EchoServer {
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const http1: Server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    void reply(options, request, response);
  });
  http1.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgradeToWebSocket({ request, socket, head, identity: options.identity });
  });
  const http2: Http2Server = createHttp2Server((request, response) => {
    if (isGrpcRequest(request)) serveGrpc(request, response, options);
    else void reply(options, request, response);
  });
  http2.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
  });
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // A peer that resets has nobody left to be told.
    socket.on('error', () => socket.destroy());
    routeByFirstBytes(socket, { http1, http2 });
  };
  const tcp = createTcpServer({ noDelay: true }, accept);
  const tls = tlsFiles === undefined ? undefined : createTlsServer(tlsFiles, accept);
  return {
    tcp,
    tls,
    close: async (graceMs) => {
      const closed = Promise.all(
        [tcp, tls].map(
          (server) =>
            new Promise<void>((resolve) => {
              if (server?.listening === true) server.close(() => resolve());
              else resolve();
            }),
        ),
      );
      for (const session of sessions) session.close();
      http1.closeIdleConnections();
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      // Connections adopted by the HTTP server become idle one by one.
      const idle = setInterval(() => http1.closeIdleConnections(), 20);
      await closed;
      clearInterval(idle);
      clearTimeout(timer);
    },
  };
}

/** Waits for enough bytes to tell HTTP/2 with prior knowledge from HTTP/1, then hands the socket over unread. */
function routeByFirstBytes(socket: Socket, servers: { http1: Server; http2: Http2Server }): void {
  const chunks: Buffer[] = [];
  const timer = setTimeout(() => socket.destroy(), firstByteTimeoutMs);
  const onReadable = (): void => {
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read())
      chunks.push(chunk);
    const seen = Buffer.concat(chunks);
    if (seen.length === 0) return;
    const length = Math.min(seen.length, http2Preface.length);
    const matches = seen.subarray(0, length).equals(http2Preface.subarray(0, length));
    if (matches && seen.length < http2Preface.length) return;
    clearTimeout(timer);
    socket.removeListener('readable', onReadable);
    socket.unshift(seen);
    (matches ? servers.http2 : servers.http1).emit('connection', socket);
  };
  socket.on('readable', onReadable);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => {
    if (chunks.length === 0) socket.end();
  });
}

async function reply(options: EchoOptions, request: AnyRequest, response: AnyResponse): Promise<void> {
  const started = Date.now();
  const seen = await observe(request);
  const query = new URLSearchParams(seen.path.split('?', 2)[1] ?? '');
  const status = numberIn(query.get('status'), 200, 599) ?? options.status;
  const delayMs = numberIn(query.get('delay'), 0, delayMaxMs) ?? options.delayMs;
  const size = numberIn(query.get('size'), 0, replyMaxBytes);
  if (delayMs > 0) await delayUnlessClosed(response, delayMs);
  if (response.destroyed) return;
  const wantsText =
    query.get('format') === 'text' || (headerOf(seen, 'accept') ?? '').startsWith('text/plain');
  response.statusCode = status;
  response.setHeader('content-type', wantsText ? 'text/plain; charset=utf-8' : 'application/json');
  response.setHeader('x-echo-name', options.identity.name);
  options.log(
    `${seen.peer.address} "${seen.method} ${seen.path} HTTP/${seen.httpVersion}" ${status} ${Date.now() - started}ms`,
  );
  if (size !== undefined) {
    sendFiller(response, size);
    return;
  }
  const body = wantsText ? renderText(options.identity, seen) : renderJson(options.identity, seen);
  // A 204 or 304 must not carry a body.
  const bytes = status === 204 || status === 304 ? undefined : Buffer.from(body);
  if (bytes === undefined) {
    (response as ServerResponse).end();
    return;
  }
  response.setHeader('content-length', bytes.length);
  // Both kinds of response take the same call; their union of overloads is what does not type.
  (response as ServerResponse).end(seen.method === 'HEAD' ? undefined : bytes);
}

/** Waits, but not longer than the client does: a pending timer would hold up the end of the process. */
async function delayUnlessClosed(response: AnyResponse, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function sendFiller(response: AnyResponse, size: number): void {
  response.setHeader('content-length', size);
  const block = Buffer.alloc(64 * 1024, 0x2e);
  let left = size;
  const stream = response as ServerResponse;
  const write = (): void => {
    while (left > 0) {
      const chunk = left >= block.length ? block : block.subarray(0, left);
      left -= chunk.length;
      if (!stream.write(chunk)) {
        stream.once('drain', write);
        return;
      }
    }
    stream.end();
  };
  write();
}

async function observe(request: AnyRequest): Promise<Seen> {
  const parts: Buffer[] = [];
  let bodyBytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      if (bodyBytes < bodyEchoMaxBytes) parts.push(chunk.subarray(0, bodyEchoMaxBytes - bodyBytes));
      bodyBytes += chunk.length;
    }
  } catch {
    // The client went away while sending; what arrived is still worth logging.
  }
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    headers.push([request.rawHeaders[i] ?? '', request.rawHeaders[i + 1] ?? '']);
  }
  const { socket } = request;
  const tls = seenTls(socket);
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    httpVersion: request.httpVersion,
    protocol: request.httpVersionMajor < 2 ? `http/${request.httpVersion}` : tls === undefined ? 'h2c' : 'h2',
    tls,
    headers,
    peer: { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 },
    local: { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 },
    body: Buffer.concat(parts).toString('utf8'),
    bodyBytes,
  };
}

function headerOf(seen: Seen, name: string): string | undefined {
  return seen.headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

function numberIn(text: string | null, min: number, max: number): number | undefined {
  if (text === null || text === '') return undefined;
  const value = Number(text);
  return Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}
