import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Readable, Writable } from 'node:stream';
import type { Exchange, ExchangeEnd, ResponseHead } from '../message/exchange.js';
import { HeaderList } from '../message/header-list.js';
import { fieldsOf } from './http2-fields.js';

/** A request over HTTP/2. */
export class Http2Exchange implements Exchange {
  readonly #stream: ServerHttp2Stream;

  readonly version = '2';
  readonly method: string;
  readonly target: string;
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  readonly body: Readable | undefined;
  readonly upgrade = undefined;
  #trailers: readonly string[] = [];
  #responseTrailers: readonly string[] = [];

  constructor(stream: ServerHttp2Stream, incoming: IncomingHttpHeaders) {
    this.#stream = stream;

    this.method = String(incoming[':method'] ?? '');
    this.target = String(incoming[':path'] ?? '');
    this.headers = fieldsOf(incoming);
    this.authority = incoming[':authority'] ?? this.headers.joined('host');
    this.body = stream.endAfterHeaders ? undefined : stream;
    stream.on('error', ignoreError);
    stream.once('trailers', (trailers: IncomingHttpHeaders) => {
      this.#trailers = fieldsOf(trailers).toRaw();
    });
    stream.once('wantTrailers', () => {
      stream.sendTrailers(HeaderList.fromRaw(this.#responseTrailers).toObject());
    });
  }

  get expectsContinue(): boolean {
    return this.headers.joined('expect')?.toLowerCase() === '100-continue';
  }

  get isStarted(): boolean {
    return this.#stream.headersSent;
  }

  get out(): Writable {
    return this.#stream;
  }

  requestTrailers(): readonly string[] {
    return this.#trailers;
  }

  sendContinue(): void {
    if (!this.#stream.headersSent && !this.#stream.destroyed)
      this.#stream.additionalHeaders({ ':status': 100 });
  }

  sendHead({ status, headers }: ResponseHead, isEmpty: boolean): void {
    if (this.#stream.destroyed || this.#stream.headersSent) return;
    const head = { ...headers.toObject(), ':status': status };
    const options = { endStream: isEmpty, waitForTrailers: !isEmpty, sendDate: false };
    this.#stream.respond(head, options);
  }

  finish(trailers: readonly string[]): void {
    this.#responseTrailers = trailers;
    if (!this.#stream.destroyed) this.#stream.end();
  }

  switchProtocols(): never {
    throw new Error('the request did not ask for another protocol');
  }

  reset(): void {
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /** A stream whose frames cannot be read is reset, which its end tells. */
  onBroken(): void {
    return undefined;
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    const end = (): void => {
      const isFinished = this.#stream.headersSent && this.#stream.writableFinished && !this.#stream.aborted;
      listener(isFinished ? 'finished' : 'aborted');
    };
    if (this.#stream.closed && this.#stream.destroyed) queueMicrotask(end);
    else this.#stream.once('close', end);
  }
}

/** Errors of a stream also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
