import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { connectionOptions } from '../message/connection-options.js';
import type { Exchange } from '../message/exchange.js';
import { headerBytesMax } from '../message/header-limits.js';
import { HeaderList } from '../message/header-list.js';
import { serverName } from '../message/local-reply.js';
import type { EngineHandler } from './engine-handler.js';
import { Http1Exchange, Http1UpgradeExchange } from './http1-exchange.js';

interface ConnectionState<C> {
  readonly connection: C;
  /** Requests of one connection run one after the other, as pipelining promises. */
  tail: Promise<void>;
  pendingCount: number;
  isBroken: boolean;
}

/** Requests one client may have waiting on one connection. */
const pipelineMax = 256;
/** A connection without a request is closed after this. */
const idleMs = 3_600_000;
/** How long a client may go on sending after the connection's last response. */
const lingerMs = 2_000;

/** Serves HTTP/1.1 on streams somebody else accepted, with Node's parser. */
export class Http1Engine<C> {
  readonly #handler: EngineHandler<C>;

  readonly #server: Server;
  readonly #states = new Map<Duplex, ConnectionState<C>>();
  #isDraining = false;

  constructor(handler: EngineHandler<C>) {
    this.#handler = handler;

    this.#server = createServer({
      maxHeaderSize: headerBytesMax,
      keepAliveTimeout: idleMs,
      requestTimeout: 0,
      // The guard refuses what lacks a Host, so that the refusal is logged and counted.
      requireHostHeader: false,
    });
    // Node would silently drop lines beyond its limit; the guard counts them instead.
    this.#server.maxHeadersCount = 0;
    // A client that ended its side still gets its answer. Node has no public name for this.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on('request', (req, res) => this.#accept(req, res, false));
    this.#server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) =>
      this.#accept(req, res, true),
    );
    this.#server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) =>
      this.#accept(req, res, false),
    );
    this.#server.on('upgrade', (req, stream, head) => this.#acceptUpgrade(req, stream, head));
    this.#server.on('connect', (req, stream) => this.#refuseConnect(req, stream));
    this.#server.on('clientError', (error, stream) => this.#parseFailed(error, stream));
  }

  /** Takes over a stream; the connection ends with it. */
  serve(stream: Duplex, connection: C): void {
    const state: ConnectionState<C> = {
      connection,
      tail: Promise.resolve(),
      pendingCount: 0,
      isBroken: false,
    };
    this.#states.set(stream, state);
    stream.once('close', () => this.#states.delete(stream));
    // Once our side has ended, what the client still sends has no reader.
    stream.once('finish', () => linger(stream));
    this.#server.emit('connection', stream);
  }

  /** Closes idle connections; others are closed by their last response. */
  drain(): void {
    this.#isDraining = true;
    for (const [stream, { pendingCount }] of this.#states) {
      if (pendingCount === 0) stream.end();
    }
  }

  #accept(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void {
    const state = this.#states.get(req.socket);
    if (state === undefined || state.isBroken) return;
    const isLast = (): boolean => this.#isDraining || (req.socket.readableEnded && state.pendingCount === 1);
    const options = { expectsContinue, isLast };
    this.#enqueue(req.socket, state, new Http1Exchange(req, res, options));
  }

  #enqueue(stream: Duplex, state: ConnectionState<C>, exchange: Exchange): void {
    if (state.pendingCount >= pipelineMax) {
      stream.destroy();
      return;
    }
    state.pendingCount++;
    state.tail = state.tail.then(async () => {
      await this.#handler.handle(exchange, state.connection);
      state.pendingCount--;
    });
  }

  #acceptUpgrade(req: IncomingMessage, stream: Duplex, head: Buffer): void {
    const state = this.#stateForSwitch(stream);
    if (state === undefined) return;
    const headers = HeaderList.fromRaw(req.rawHeaders);
    const protocol = headers.joined('upgrade')?.trim().toLowerCase() ?? '';
    if (protocol === 'h2c') {
      this.#continueWithoutUpgrade({ req, stream, head, headers });
      return;
    }
    this.#enqueue(stream, state, new Http1UpgradeExchange(req, { stream, head, protocol }));
  }

  /**
   * Many clients offer h2c with their first request and are content with HTTP/1.1 (RFC 9110 7.8).
   * Node cannot decline an upgrade, so the request is put back without its offer.
   */
  #continueWithoutUpgrade(offer: {
    req: IncomingMessage;
    stream: Duplex;
    head: Buffer;
    headers: HeaderList;
  }): void {
    const { req, stream, head, headers } = offer;
    const rest = connectionOptions(headers).filter((name) => name !== 'upgrade' && name !== 'http2-settings');
    for (const name of ['connection', 'upgrade', 'http2-settings']) headers.remove(name);
    if (rest.length > 0) headers.set('connection', rest.join(', '));
    const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const text = `${req.method} ${req.url} HTTP/1.1\r\n${lines}\r\n`;
    stream.unshift(Buffer.concat([Buffer.from(text, 'latin1'), head]));
    this.#server.emit('connection', stream);
  }

  #refuseConnect(req: IncomingMessage, stream: Duplex): void {
    const state = this.#stateForSwitch(stream);
    if (state === undefined) return;
    const raw = { stream, head: Buffer.alloc(0), protocol: '' };
    this.#enqueue(stream, state, new Http1UpgradeExchange(req, raw));
  }

  /**
   * The state of a connection that may leave HTTP with its next request. Node lets go of the connection as soon as it
   * read such a request, also when earlier ones still wait for their responses; those could then not be sent in order,
   * or at all. No client does that by accident.
   */
  #stateForSwitch(stream: Duplex): ConnectionState<C> | undefined {
    const state = this.#states.get(stream);
    if (state !== undefined && !state.isBroken && state.pendingCount === 0) return state;
    if (state !== undefined && !state.isBroken) {
      state.isBroken = true;
      this.#handler.broken(state.connection, { status: 400, details: 'http1.pipelined_upgrade' });
    }
    stream.destroy();
    return undefined;
  }

  #parseFailed(error: Error, stream: Duplex): void {
    const state = this.#states.get(stream);
    const code = 'code' in error ? String(error.code) : '';
    if (state === undefined || state.isBroken || code === 'ECONNRESET' || !stream.writable) {
      stream.destroy();
      return;
    }
    state.isBroken = true;
    const isTooLarge = code === 'HPE_HEADER_OVERFLOW';
    const problem = isTooLarge
      ? { status: 431, details: 'request_headers_too_large' }
      : { status: 400, details: 'http1.codec_error' };
    this.#handler.broken(state.connection, problem);
    // An answer to bytes we could not read must not be taken for the answer to an earlier request.
    if (state.pendingCount > 0) {
      stream.destroy();
      return;
    }
    const reason = isTooLarge ? 'Request Header Fields Too Large' : 'Bad Request';
    const head = [
      `HTTP/1.1 ${problem.status} ${reason}`,
      `content-length: ${reason.length}`,
      'content-type: text/plain',
      `date: ${new Date().toUTCString()}`,
      `server: ${serverName}`,
      'connection: close',
    ];
    stream.end(`${head.join('\r\n')}\r\n\r\n${reason}`, 'latin1');
  }
}

/** Reads and drops what still comes, for a while, so that the last response is not lost to a reset. */
function linger(stream: Duplex): void {
  if (stream.readableEnded || stream.destroyed) return;
  stream.resume();
  const timer = setTimeout(() => stream.destroy(), lingerMs);
  timer.unref();
  stream.once('close', () => clearTimeout(timer));
}
