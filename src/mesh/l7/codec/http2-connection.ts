import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { HeaderList } from '../message/header-list.js';
import { UpstreamError, type UpstreamRequest, type UpstreamResponse } from '../message/upstream-request.js';
import { fieldsOf } from './http2-fields.js';
import {
  http2ConcurrentStreamsMax,
  http2ConnectionWindowBytes,
  http2SessionMemoryMaxMb,
  http2StreamWindowBytes,
} from './http2-limits.js';

/** A connection without requests is closed after this. */
const idleMs = 60_000;

/** One HTTP/2 connection to a backend, carrying many requests at a time. */
export class Http2Connection {
  readonly #session: ClientHttp2Session;
  #activeCount = 0;
  #isRetired = false;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(stream: Duplex) {
    stream.on('error', ignoreError);
    this.#session = connect('http://backend', {
      createConnection: () => stream,
      maxSessionMemory: http2SessionMemoryMaxMb,
      settings: { enablePush: false, initialWindowSize: http2StreamWindowBytes },
    });
    this.#session.once('connect', () => this.#session.setLocalWindowSize(http2ConnectionWindowBytes));
    this.#session.on('error', ignoreError);
    this.#session.on('goaway', () => this.retire());
    this.#session.once('close', () => {
      clearTimeout(this.#idleTimer);
      stream.destroy();
    });
    // A backend that ended its side takes no more requests.
    stream.once('end', () => this.retire());
  }

  /** Whether one more request may be sent on it now. */
  get hasRoom(): boolean {
    const peerMax = this.#session.remoteSettings?.maxConcurrentStreams ?? http2ConcurrentStreamsMax;
    const isOpen = !this.#isRetired && !this.#session.closed && !this.#session.destroyed;
    return isOpen && this.#activeCount < Math.min(http2ConcurrentStreamsMax, peerMax);
  }

  onClosed(listener: () => void): void {
    if (this.#session.destroyed) queueMicrotask(listener);
    else this.#session.once('close', listener);
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** Sends a request; resolves with the head of the response. Rejects with {@link UpstreamError}. */
  send(request: UpstreamRequest): Promise<UpstreamResponse> {
    return new Promise((resolve, reject) => {
      const isBodyless = request.body === undefined;
      let stream: ClientHttp2Stream;
      try {
        const head = {
          ...request.headers.toObject(),
          ':method': request.method,
          ':path': request.path,
          ':scheme': 'http',
          ':authority': request.authority,
        };
        stream = this.#session.request(head, { endStream: isBodyless, waitForTrailers: !isBodyless });
      } catch (error) {
        reject(new UpstreamError('protocol error', { isUnprocessed: true, cause: error }));
        return;
      }
      this.#activeCount++;
      clearTimeout(this.#idleTimer);
      const abort = (): void => stream.close(constants.NGHTTP2_CANCEL);
      request.signal.addEventListener('abort', abort, { once: true });
      let trailers: readonly string[] = [];
      stream.on('error', ignoreError);
      stream.once('close', () => {
        request.signal.removeEventListener('abort', abort);
        request.body?.unpipe(stream);
        this.#activeCount--;
        reject(resetError(stream));
        if (this.#activeCount === 0 && !this.#isRetired) {
          this.#idleTimer = setTimeout(() => this.retire(), idleMs);
          this.#idleTimer.unref();
        }
      });
      stream.once('wantTrailers', () => {
        stream.sendTrailers(HeaderList.fromRaw(request.trailers()).toObject());
      });
      stream.on('headers', (headers: IncomingHttpHeaders) => {
        if (Number(headers[':status']) === 100) request.onContinue();
      });
      stream.once('trailers', (fields: IncomingHttpHeaders) => {
        trailers = fieldsOf(fields).toRaw();
      });
      stream.once('response', (headers: IncomingHttpHeaders, flags: number) => {
        const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
        if (isWhole) stream.resume();
        resolve({
          kind: 'response',
          status: Number(headers[':status']),
          headers: fieldsOf(headers),
          body: isWhole ? undefined : stream,
          trailers: () => trailers,
          isComplete: () => stream.readableEnded && !stream.aborted && (stream.rstCode ?? 0) === 0,
          cancel: () => stream.close(constants.NGHTTP2_CANCEL),
        });
      });
      if (request.signal.aborted) abort();
      else if (request.body !== undefined) {
        request.body.pipe(stream);
        request.body.on('data', (chunk: Buffer) => request.onBody(chunk.length));
      }
    });
  }

  /** No new requests; closes when the last one ended. */
  retire(): void {
    this.#isRetired = true;
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close();
  }
}

function resetError(stream: ClientHttp2Stream): UpstreamError {
  switch (stream.rstCode) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return new UpstreamError('remote refused stream reset', { isUnprocessed: true });
    case constants.NGHTTP2_NO_ERROR:
    case undefined:
      return new UpstreamError('connection termination', { isUnprocessed: false });
    default:
      return new UpstreamError('remote reset', { isUnprocessed: false });
  }
}

/** Errors of a stream also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
