import type { Duplex, Readable, Writable } from 'node:stream';
import type { HeaderList } from './header-list.js';

/** Status and headers of a response about to be sent. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** The rest of the request's body is not looked at: a connection it would have to be skipped on ends. */
  readonly skipsBody?: boolean;
}

/** Bytes of a client that are no request, or of which the rest cannot be read, and how they are answered. */
export interface BrokenRequest {
  readonly status: number;
  /** For `response_code_details`. */
  readonly details: string;
}

/** How an exchange with the client ended. */
export type ExchangeEnd = 'finished' | 'aborted';

/**
 * One request of a client and the way to answer it, whichever HTTP version it came in. The methods
 * that send are called in the order: sendContinue, sendHead, then `out`, then finish; or reset at
 * any time. With `isEmpty` the head is the whole response.
 */
export interface Exchange {
  readonly version: '1.0' | '1.1' | '2';
  readonly method: string;
  /** As sent: path and query, `*`, or a whole URL. */
  readonly target: string;
  /** `:authority` or Host as sent; for a whole URL the host in it. */
  readonly authority: string | undefined;
  /** As received, before anything was removed. */
  readonly headers: HeaderList;
  /** Undefined: the request has no body. */
  readonly body: Readable | undefined;
  readonly expectsContinue: boolean;
  /** Protocol the client wants to switch to, lower case. */
  readonly upgrade: string | undefined;
  /** Whether a response has begun. */
  readonly isStarted: boolean;
  /** Complete after the body ended: name, value, name, value. */
  requestTrailers(): readonly string[];
  sendContinue(): void;
  sendHead(head: ResponseHead, isEmpty: boolean): void;
  /** The response body; only between sendHead and finish. */
  readonly out: Writable;
  /** Ends the response, with trailers if the client can take them. */
  finish(trailers: readonly string[]): void;
  /** Answers 101 and hands the raw connection over; `head` is what the client sent already. */
  switchProtocols(head: ResponseHead): { readonly stream: Duplex; readonly head: Buffer };
  /** Breaks the response off, so that the client cannot take it for complete. */
  reset(): void;
  /** Calls once when the rest of the request's body turns out not to be readable, also when it did before. */
  onBroken(listener: (problem: BrokenRequest) => void): void;
  /** Calls once, also when it already ended. */
  onEnd(listener: (end: ExchangeEnd) => void): void;
}
