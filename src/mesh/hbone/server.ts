import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { unmapIp } from '#base/net/address.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Credentials } from '../identity/credentials.js';
import { parseSpiffe, type SpiffeId } from '../identity/spiffe.js';
import { writeBytesOnly } from './byte-writes.js';
import type { FailureFlag } from './hbone-error.js';
import { keepAlive } from './keepalive.js';
import {
  connectionWindowBytes,
  frameMaxBytes,
  handshakeTimeoutMs,
  serverHeaderListMaxBytes,
  serverStreamsMax,
  sessionMemoryMaxMb,
  streamWindowBytes,
} from './parameters.js';
import { peerIdentities, tlsInfo, type TlsInfo, tlsParameters } from './tls.js';

/** An address as the operating system reports it; v4-mapped IPv6 is shown as IPv4. */
export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/** One CONNECT of an authenticated peer. Exactly one of `accept` and `reject` must be called. */
export interface ConnectRequest {
  readonly peer: SpiffeId;
  /** As sent, not validated: `ip:port`, `[ip]:port` or `hostname:port`. */
  readonly authority: string;
  readonly headers: IncomingHttpHeaders;
  /** TCP peer of the HBONE connection. */
  readonly remote: SocketAddress;
  /** Our side of the HBONE connection. */
  readonly local: SocketAddress;
  readonly tls: TlsInfo;
  /** Aborted when the peer gave up before an answer. */
  readonly signal: AbortSignal;
  /** Answers 200; the stream carries raw bytes both ways and is half-open until both sides ended. */
  accept(headers?: OutgoingHttpHeaders): Duplex;
  /** Answers an error status without a body. */
  reject(status: number, headers?: OutgoingHttpHeaders): void;
}

/** A connection that ended before it could carry a request. */
export interface RefusedConnection {
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  readonly flag: FailureFlag;
  readonly error: Error;
}

export interface HboneServerOptions {
  /** The server's own credentials, asked for at every connection: a renewal takes effect at the next one. */
  readonly credentials: () => Promise<Credentials>;
  /** Peers that are admitted besides those of the trust domain of the server's own credentials. */
  readonly admits?: (peer: SpiffeId) => boolean;
  readonly onConnect: (request: ConnectRequest) => void;
  readonly onRefused?: (refused: RefusedConnection) => void;
  /** Connections served at a time; further ones are closed at once. Default 8192. */
  readonly connectionsMax?: number;
}

const connectionsMaxDefault = 8_192;

/**
 * HBONE server over sockets somebody else accepted. A connection goes: credentials -> TLS 1.3 with mandatory client
 * certificate -> peer identity read and its trust domain compared with our own -> HTTP/2. No byte of HTTP is parsed
 * for a peer that has no mesh identity.
 */
export class HboneServer {
  readonly #options: HboneServerOptions;

  readonly #sessions = new Map<Socket, ServerHttp2Session | undefined>();
  #tlsServer: { credentials: Credentials; server: Server } | undefined;
  #isDraining = false;

  constructor(options: HboneServerOptions) {
    this.#options = options;
  }

  /** Connections being served or shaken hands with. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** Takes over an accepted socket. Errors end that connection and are reported to `onRefused`. */
  serve(socket: Socket): void {
    socket.on('error', ignoreError);
    // Half-close belongs to the streams; a FIN of the connection ends all of them.
    socket.allowHalfOpen = false;
    if (this.#isDraining || this.#sessions.size >= (this.#options.connectionsMax ?? connectionsMaxDefault)) {
      socket.destroy();
      return;
    }
    this.#sessions.set(socket, undefined);
    socket.once('close', () => this.#sessions.delete(socket));
    const addresses = { remote: remoteAddress(socket), local: localAddress(socket) };
    this.#handshake(socket).then(
      (secured) => this.#startSession({ socket, ...secured, ...addresses }),
      (error: unknown) => {
        socket.destroy();
        const cause =
          error instanceof HandshakeError ? error : new HandshakeError('TLS_FAILURE', messageOf(error));
        this.#options.onRefused?.({ ...addresses, flag: cause.flag, error: cause });
      },
    );
  }

  /** Graceful end: GOAWAY on every connection, no new ones; running streams continue. */
  drain(): void {
    this.#isDraining = true;
    for (const [socket, session] of this.#sessions) {
      if (session === undefined) socket.destroy();
      else session.close();
    }
  }

  /** Ends every connection now. */
  close(): void {
    this.#isDraining = true;
    for (const [socket, session] of this.#sessions) {
      session?.destroy();
      socket.destroy();
    }
  }

  async #handshake(socket: Socket): Promise<{ tls: TLSSocket; info: TlsInfo }> {
    let credentials: Credentials;
    try {
      credentials = await this.#options.credentials();
    } catch (error) {
      throw new HandshakeError('IDENTITY_ERROR', messageOf(error));
    }
    if (socket.destroyed) throw new HandshakeError('TLS_FAILURE', 'the peer closed the connection');
    const tls = await this.#secure(socket, credentials);
    if (tls.alpnProtocol !== 'h2')
      throw new HandshakeError('H2_HANDSHAKE_FAILURE', 'the peer did not offer h2');
    const [peer] = peerIdentities(tls);
    if (peer === undefined)
      throw new HandshakeError('TLS_FAILURE', 'the peer certificate names no SPIFFE identity');
    const own = parseSpiffe(credentials.identity)?.trustDomain;
    const isOfOwnDomain = own !== undefined && parseSpiffe(peer)?.trustDomain === own;
    if (!isOfOwnDomain && this.#options.admits?.(peer) !== true) {
      throw new HandshakeError('TLS_FAILURE', `${peer} is not of trust domain ${own ?? '(none)'}`);
    }
    return { tls, info: tlsInfo(tls, peer) };
  }

  /** Runs the server side of TLS on one socket. */
  #secure(socket: Socket, credentials: Credentials): Promise<TLSSocket> {
    if (this.#tlsServer?.credentials !== credentials) {
      this.#tlsServer = { credentials, server: makeTlsServer(credentials) };
    }
    const { server } = this.#tlsServer;
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => reject(new HandshakeError('TLS_FAILURE', error.message));
      outcomes.set(socket, { resolve, reject: failed });
      socket.once('close', () => failed(new Error('the peer closed the connection during the handshake')));
      server.emit('connection', socket);
    });
  }

  #startSession(connection: {
    socket: Socket;
    tls: TLSSocket;
    info: TlsInfo;
    remote: SocketAddress;
    local: SocketAddress;
  }): void {
    const { socket, tls, info, remote, local } = connection;
    if (this.#isDraining || tls.destroyed) {
      socket.destroy();
      return;
    }
    const session = performServerHandshake(tls, {
      maxSessionMemory: sessionMemoryMaxMb,
      settings: {
        initialWindowSize: streamWindowBytes,
        maxFrameSize: frameMaxBytes,
        maxHeaderListSize: serverHeaderListMaxBytes,
        maxConcurrentStreams: serverStreamsMax,
      },
    }) as ServerHttp2Session;
    session.setLocalWindowSize(connectionWindowBytes);
    this.#sessions.set(socket, session);
    session.on('error', ignoreError);
    session.once('close', () => socket.destroy());
    keepAlive(session, () => {
      session.goaway(constants.NGHTTP2_NO_ERROR);
      session.destroy();
    });
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', ignoreError);
      const request = makeRequest({ stream, headers, info, remote, local });
      if (request === undefined) respond(stream, 400);
      else this.#options.onConnect(request);
    });
  }
}

class HandshakeError extends Error {
  constructor(
    readonly flag: FailureFlag,
    message: string,
  ) {
    super(message);
  }
}

interface Outcome {
  readonly resolve: (tls: TLSSocket) => void;
  readonly reject: (error: Error) => void;
}

/** Who waits for the handshake on a raw socket: one tls.Server serves many connections. */
const outcomes = new WeakMap<object, Outcome>();

function makeTlsServer(credentials: Credentials): Server {
  const server = createServer({
    ...tlsParameters,
    cert: credentials.certChainPem,
    key: credentials.keyPem,
    ca: credentials.rootsPem,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeTimeoutMs,
  });
  server.on('secureConnection', (tls) => outcomeOf(tls)?.resolve(tls));
  server.on('tlsClientError', (error, tls) => outcomeOf(tls)?.reject(error));
  return server;
}

/** The raw socket below a TLS socket. Node has no public name for it. */
function outcomeOf(tls: TLSSocket): Outcome | undefined {
  const raw = (tls as unknown as { _parent?: object })._parent;
  return raw === undefined ? undefined : outcomes.get(raw);
}

function makeRequest(options: {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  info: TlsInfo;
  remote: SocketAddress;
  local: SocketAddress;
}): ConnectRequest | undefined {
  const { stream, headers, info, remote, local } = options;
  const authority = headers[':authority'];
  if (headers[':method'] !== 'CONNECT' || authority === undefined || authority === '') return undefined;
  // Extended CONNECT (RFC 8441) is another protocol.
  if (headers[':protocol'] !== undefined) return undefined;
  const gone = new AbortController();
  stream.once('close', () => gone.abort(new Error('the peer closed the stream')));
  return {
    peer: info.peer,
    authority,
    headers,
    remote,
    local,
    tls: info,
    signal: gone.signal,
    accept: (extra) => {
      if (!stream.destroyed && !stream.headersSent) stream.respond({ ...extra, ':status': 200 });
      return writeBytesOnly(stream);
    },
    reject: (status, extra) => respond(stream, status, extra),
  };
}

function respond(stream: ServerHttp2Stream, status: number, headers?: OutgoingHttpHeaders): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ...headers, ':status': status }, { endStream: true });
  // The client may still be sending: what it sends now has nowhere to go.
  stream.resume();
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** The far end of a socket, IPv4-mapped addresses as IPv4. */
export function remoteAddress(socket: Socket): SocketAddress {
  return { host: canonicalHost(socket.remoteAddress), port: socket.remotePort ?? 0 };
}

/** Our end of a socket, IPv4-mapped addresses as IPv4. */
export function localAddress(socket: Socket): SocketAddress {
  return { host: canonicalHost(socket.localAddress), port: socket.localPort ?? 0 };
}

function canonicalHost(host: string | undefined): string {
  return host === undefined ? '' : unmapIp(host);
}

/** Socket and stream errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
