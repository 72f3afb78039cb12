import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { connectionOptions } from '../message/connection-options.js';
import type { BrokenRequest } from '../message/exchange.js';
import { headerBytesMax } from '../message/header-limits.js';
import { HeaderList } from '../message/header-list.js';
import { serverName } from '../message/local-reply.js';
import type { EngineHandler } from './engine-handler.js';
import { HeadProgress } from './head-progress.js';
import { Http1Exchange, Http1UpgradeExchange } from './http1-exchange.js';
import { type ParserError, parserProblem } from './http1-problem.js';

interface ConnectionState<C> {
  readonly connection: C;
  /** Requests of one connection run one after the other, as pipelining promises. */
  tail: Promise<void>;
  pendingCount: number;
  /** Nothing more is read as a request. */
  isBroken: boolean;
  /** Something that is no request waits for its answer. */
  hasRefusal: boolean;
  readonly head: HeadProgress;
  /** The request that came last. */
  last: Http1Exchange | undefined;
  /** Sees the bytes before the parser does. */
  readonly tap: (bytes: Buffer) => void;
}

/** Requests one client may have waiting on one connection. */
const pipelineMax = 256;
/** A connection without a request is closed after this. */
const idleMs = 3_600_000;
/** How long a client may go on sending after the connection's last response. */
const lingerMs = 2_000;
/** How long the head of a request may take to arrive. */
const headTimeoutDefaultMs = 60_000;

export interface Http1EngineOptions {
  /** Default one minute. */
  readonly headTimeoutMs?: number;
}

/** Serves HTTP/1.1 on streams somebody else accepted, with Node's parser. */
export class Http1Engine<C> {
  readonly #handler: EngineHandler<C>;
  readonly #headTimeoutMs: number;

  readonly #server: Server;
  readonly #states = new Map<Duplex, ConnectionState<C>>();
  #sweep: NodeJS.Timeout | undefined;
  #isDraining = false;

  constructor(handler: EngineHandler<C>, options: Http1EngineOptions = {}) {
    this.#handler = handler;
    this.#headTimeoutMs = options.headTimeoutMs ?? headTimeoutDefaultMs;

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
      hasRefusal: false,
      head: new HeadProgress(),
      last: undefined,
      tap: (bytes) => {
        if (state.last?.isComplete !== false) state.head.received(bytes, performance.now());
      },
    };
    this.#states.set(stream, state);
    this.#sweep ??= setInterval(() => this.#refuseOverdue(), this.#headTimeoutMs / 10).unref();
    stream.once('close', () => this.#forget(stream));
    // Once our side has ended, what the client still sends has no reader.
    stream.once('finish', () => linger(stream));
    this.#parse(stream, state);
  }

  /** From now on every response is the last one of its connection. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Closes the connections that wait for a request. */
  closeIdle(): void {
    for (const [stream, { pendingCount }] of this.#states) {
      if (pendingCount === 0) stream.end();
    }
  }

  #parse(stream: Duplex, { tap }: ConnectionState<C>): void {
    this.#server.emit('connection', stream);
    // Before Node's listener, so that the progress is known when the parser gives up; after Node put it there, because
    // Node would else read a socket's bytes past all listeners.
    stream.prependListener('data', tap);
  }

  #forget(stream: Duplex): void {
    this.#states.delete(stream);
    if (this.#states.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #accept(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void {
    const state = this.#states.get(req.socket);
    state?.head.complete();
    if (state === undefined || state.isBroken) return;
    if (req.httpVersionMajor !== 1) {
      this.#refuse(req.socket, state, { status: 505, details: 'http1.unsupported_version' });
      return;
    }
    // The last one of a client that ended its side, unless a refusal is still to follow.
    const isLast = (): boolean =>
      this.#isDraining || (req.socket.readableEnded && state.pendingCount === 1 && !state.hasRefusal);
    const exchange = new Http1Exchange(req, res, { expectsContinue, isLast });
    this.#enqueue(req.socket, state, exchange);
  }

  #enqueue(stream: Duplex, state: ConnectionState<C>, exchange: Http1Exchange): void {
    if (state.pendingCount >= pipelineMax) {
      this.#refuse(stream, state, { status: 400, details: 'http1.too_many_pipelined_requests' });
      return;
    }
    state.pendingCount++;
    state.last = exchange;
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
      this.#continueWithoutUpgrade({ state, req, stream, head, headers });
      return;
    }
    this.#enqueue(stream, state, new Http1UpgradeExchange(req, { stream, head, protocol }));
  }

  /**
   * Many clients offer h2c with their first request and are content with HTTP/1.1 (RFC 9110 7.8).
   * Node cannot decline an upgrade, so the request is put back without its offer.
   */
  #continueWithoutUpgrade(offer: {
    state: ConnectionState<C>;
    req: IncomingMessage;
    stream: Duplex;
    head: Buffer;
    headers: HeaderList;
  }): void {
    const { state, req, stream, head, headers } = offer;
    const rest = connectionOptions(headers).filter((name) => name !== 'upgrade' && name !== 'http2-settings');
    for (const name of ['connection', 'upgrade', 'http2-settings']) headers.remove(name);
    if (rest.length > 0) headers.set('connection', rest.join(', '));
    const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const text = `${req.method} ${req.url} HTTP/1.1\r\n${lines}\r\n`;
    stream.unshift(Buffer.concat([Buffer.from(text, 'latin1'), head]));
    this.#parse(stream, state);
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
    state?.head.complete();
    if (state !== undefined) stream.off('data', state.tap);
    if (state !== undefined && !state.isBroken && state.pendingCount === 0) return state;
    if (state?.isBroken !== false) {
      stream.destroy();
      return undefined;
    }
    this.#refuse(stream, state, { status: 400, details: 'http1.pipelined_upgrade' });
    // The earlier ones may never end now.
    const timer = setTimeout(() => stream.destroy(), lingerMs);
    stream.once('close', () => clearTimeout(timer));
    return undefined;
  }

  #parseFailed(error: Error & Partial<ParserError>, stream: Duplex): void {
    const state = this.#states.get(stream);
    const { code = '', reason = '', rawPacket, bytesParsed } = error;
    if (state === undefined || !code.startsWith('HPE_') || !stream.writable) {
      stream.destroy();
      return;
    }
    const problem = parserProblem({ code, reason, rawPacket, bytesParsed }, state.head.isInRequestLine);
    if (problem === undefined || state.isBroken) return;
    if (state.last?.isComplete === false) {
      // The body of a request that is being handled: its answer says so.
      state.isBroken = true;
      state.last.breakOff(problem);
    } else {
      this.#refuse(stream, state, problem);
    }
  }

  #refuseOverdue(): void {
    const now = performance.now();
    for (const [stream, state] of this.#states) {
      if (!state.isBroken && state.head.isOverdue(now, this.#headTimeoutMs))
        this.#refuse(stream, state, { status: 408, details: 'request_header_timeout' });
    }
  }

  /** Answers bytes that make no request, after the requests before them, and ends the connection. */
  #refuse(stream: Duplex, state: ConnectionState<C>, problem: BrokenRequest): void {
    state.isBroken = true;
    state.hasRefusal = true;
    state.tail = state.tail.then(() => {
      this.#handler.broken(state.connection, problem);
      if (!stream.writable) return;
      const reason = STATUS_CODES[problem.status] ?? '';
      const head = [
        `HTTP/1.1 ${problem.status} ${reason}`,
        `content-length: ${reason.length}`,
        'content-type: text/plain',
        `date: ${new Date().toUTCString()}`,
        `server: ${serverName}`,
        'connection: close',
      ];
      stream.end(`${head.join('\r\n')}\r\n\r\n${reason}`, 'latin1');
    });
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
