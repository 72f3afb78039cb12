import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { breakOff, isBrokenOff } from '../../system/break-off.js';
import { HeaderList } from '../message/header-list.js';
import { UpstreamError, type UpstreamRequest, type UpstreamResponse } from '../message/upstream-request.js';

/** Most bytes of a response's header section. */
const responseHeaderBytesMax = 60 * 1024;
/** Idle connections are closed this much before the time the backend announced. */
const keepAliveMarginMs = 1_000;

/** An agent that owns one connection: Node's client does the protocol, this module the pooling. */
class OneConnectionAgent extends Agent {
  readonly #stream: Duplex;
  readonly #onFree: () => void;

  constructor(stream: Duplex, onFree: () => void) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#stream = stream;
    this.#onFree = onFree;
  }

  override createConnection(): Socket {
    // The type asks for a Socket; Node's client works on any Duplex.
    return this.#stream as Socket;
  }

  override keepSocketAlive(): boolean {
    // Node puts the socket back after this call.
    queueMicrotask(this.#onFree);
    return true;
  }
}

/**
 * One HTTP/1.1 connection to a backend. States: busy (from the start) -> idle -> busy ... -> closed.
 * A backend that says anything while no request is under way is not trusted any further.
 */
export class Http1Connection {
  readonly #stream: Duplex;

  readonly #agent: OneConnectionAgent;
  #usedCount = 0;
  #idleLimitMs: number | undefined;
  readonly #breakOff = (): void => {
    this.#stream.destroy();
  };
  readonly #ended = (): void => {
    // How it ended is asked, and remembered, while there still is something to ask.
    isBrokenOff(this.#stream);
    this.#stream.destroy();
  };

  constructor(stream: Duplex, onIdle: (connection: Http1Connection) => void) {
    this.#stream = stream;

    this.#agent = new OneConnectionAgent(stream, () => {
      if (stream.destroyed) return;
      stream.on('data', this.#breakOff);
      onIdle(this);
    });
    stream.on('error', ignoreError);
    // Node's agent references a reused socket's handle; a tunnel has none.
    if (!('ref' in stream)) Object.assign(stream, { ref: () => stream });
    // The stream may be half-open; a backend that ended its side takes no more requests.
    stream.once('end', this.#ended);
  }

  get isOpen(): boolean {
    return !this.#stream.destroyed && this.#stream.writable && !this.#stream.readableEnded;
  }

  /** Whether a request was sent on it before. */
  get isReused(): boolean {
    return this.#usedCount > 0;
  }

  /** How long the backend said it keeps the connection, less a margin; undefined when it said nothing. */
  get announcedIdleMs(): number | undefined {
    return this.#idleLimitMs;
  }

  onClosed(listener: () => void): void {
    if (this.#stream.closed) queueMicrotask(listener);
    else this.#stream.once('close', listener);
  }

  destroy(): void {
    this.#stream.destroy();
  }

  /** Sends a request; resolves with the head of the response. Rejects with {@link UpstreamError}. */
  send(request: UpstreamRequest): Promise<UpstreamResponse> {
    const isReused = this.isReused;
    this.#usedCount++;
    this.#stream.off('data', this.#breakOff);
    const hasLength = request.headers.has('content-length');
    const raw = ['host', request.authority, ...request.headers.toRaw()];
    if (request.body !== undefined && !hasLength) raw.push('transfer-encoding', 'chunked');
    if (request.upgrade !== undefined) raw.push('connection', 'upgrade', 'upgrade', request.upgrade);
    return new Promise((resolve, reject) => {
      let sent: ClientRequest;
      try {
        sent = httpRequest({
          agent: this.#agent,
          host: 'backend',
          port: 80,
          method: request.method,
          path: request.path,
          headers: raw,
          setHost: false,
          maxHeaderSize: responseHeaderBytesMax,
        });
      } catch (error) {
        this.#stream.destroy();
        reject(new UpstreamError('protocol error', { isUnprocessed: true, cause: error }));
        return;
      }
      // Node's limit would silently drop lines.
      sent.maxHeadersCount = 0;
      const abort = (): void => breakOff(this.#stream);
      request.signal.addEventListener('abort', abort, { once: true });
      sent.once('close', () => {
        request.signal.removeEventListener('abort', abort);
        // Node frees a connection without an event when there was no usable response.
        fail(new UpstreamError('connection termination', { isUnprocessed: false, isReused }));
      });
      const fail = (error: UpstreamError): void => {
        request.body?.unpipe(sent);
        reject(error);
      };
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const isParseError = error.code?.startsWith('HPE_') === true;
        const reason = isParseError ? 'protocol error' : 'connection termination';
        fail(
          new UpstreamError(reason, {
            isUnprocessed: false,
            isReused: isReused && !isParseError,
            cause: error,
          }),
        );
      });
      sent.on('continue', request.onContinue);
      sent.once('upgrade', (response: IncomingMessage, stream: Duplex, head: Buffer) => {
        if (request.upgrade === undefined) {
          stream.destroy();
          fail(new UpstreamError('protocol error', { isUnprocessed: false }));
          return;
        }
        // From here on each side may end on its own.
        stream.off('end', this.#ended);
        const headers = HeaderList.fromRaw(response.rawHeaders);
        resolve({ kind: 'upgraded', status: 101, headers, stream, head });
      });
      sent.once('response', (response: IncomingMessage) => {
        const headers = HeaderList.fromRaw(response.rawHeaders);
        this.#noteKeepAlive(headers);
        resolve({
          kind: 'response',
          status: response.statusCode ?? 0,
          headers,
          body: response,
          trailers: () => response.rawTrailers,
          // A body without a length ends with the connection, which must have ended well.
          isComplete: () => response.complete && !isBrokenOff(this.#stream),
          cancel: abort,
        });
      });
      if (request.signal.aborted) abort();
      else this.#sendBody(request, sent);
    });
  }

  #sendBody({ body, trailers, onBody }: UpstreamRequest, sent: ClientRequest): void {
    if (body === undefined) {
      sent.end();
      return;
    }
    sent.flushHeaders();
    body.pipe(sent, { end: false });
    body.on('data', (chunk: Buffer) => onBody(chunk.length));
    body.once('end', () => {
      const list = HeaderList.fromRaw(trailers());
      if (list.count > 0) sent.addTrailers([...list].map(([name, value]): [string, string] => [name, value]));
      sent.end();
    });
  }

  #noteKeepAlive(headers: HeaderList): void {
    const seconds = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(headers.joined('keep-alive') ?? '')?.[1];
    if (seconds !== undefined) this.#idleLimitMs = Math.max(Number(seconds) * 1_000 - keepAliveMarginMs, 0);
  }
}

/** Errors of a stream also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
