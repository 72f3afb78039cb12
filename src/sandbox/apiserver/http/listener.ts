import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Listener } from '../../base/api-server.js';
import type { IncomingApiRequest, ApiResponse } from './exchange.js';

const listenBacklog = 1024;
/** How long open requests may take to end when the server closes. */
const closeTimeoutMs = 2_000;
/** As upstream: enough for a client's watches, bounded for the server. */
const streamsPerConnectionMax = 1_000;
const streamWindowBytes = 256 * 1024;
/** Watches that are being written count against this, in megabytes; Node refuses new streams beyond. */
const sessionMemoryMegabytes = 256;

/** The request line and headers of one request, as Go's server takes them: `exec` has its command in the URL. */
const headerMaxBytes = 1024 * 1024;

export interface TlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

/** What becomes of requests. */
export interface RequestHandlers {
  request(request: IncomingApiRequest, response: ApiResponse): void;
  /** HTTP/1.1 only. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** A listening HTTPS server that speaks HTTP/2 and HTTP/1.1, as the client chooses. */
export interface HttpsListener {
  readonly port: number;
  /** Lets open requests end for a moment, then cuts them. */
  close(): Promise<void>;
}

/** Starts to listen. Rejects when the address cannot be had. */
export async function listenHttps(
  listener: Listener,
  identity: TlsIdentity,
  handlers: RequestHandlers,
): Promise<HttpsListener> {
  const server = createSecureServer({
    allowHTTP1: true,
    cert: identity.certPem,
    key: identity.keyPem,
    ca: identity.caPem,
    requestCert: true,
    // Unverified certificates are answered with 401 rather than a broken handshake.
    rejectUnauthorized: false,
    ALPNProtocols: ['h2', 'http/1.1'],
    minVersion: 'TLSv1.2',
    maxSessionMemory: sessionMemoryMegabytes,
    settings: {
      enablePush: false,
      maxConcurrentStreams: streamsPerConnectionMax,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: headerMaxBytes,
    },
  });
  const sockets = new Set<Socket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (request: IncomingApiRequest, response: ApiResponse) =>
    handlers.request(request, response),
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    handlers.upgrade(request, socket, head),
  );
  // Watches and logs are long; idle keep-alive connections must outlive clients' own pools.
  Object.assign(server, {
    requestTimeout: 0,
    headersTimeout: 30_000,
    keepAliveTimeout: 90_000,
    maxHeaderSize: headerMaxBytes,
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('sessionError', () => undefined);
  await listen(server, listener);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, closeTimeoutMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function listen(server: Http2SecureServer, listener: Listener): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const done = (): void => {
      server.off('error', reject);
      resolve();
    };
    if (listener.kind === 'fd') server.listen({ fd: listener.fd, backlog: listenBacklog }, done);
    else server.listen({ host: listener.host, port: listener.port, backlog: listenBacklog }, done);
  });
}
