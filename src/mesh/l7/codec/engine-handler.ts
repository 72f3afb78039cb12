import type { Exchange } from '../message/exchange.js';

/** A connection whose bytes are not HTTP/1, or too much of it. */
export interface BrokenRequest {
  readonly status: number;
  readonly details: string;
}

/**
 * What the engines call, with what their caller said about the connection (`C`): they do not look at it. `handle`
 * resolves when the exchange has ended.
 */
export interface EngineHandler<C> {
  handle(exchange: Exchange, connection: C): Promise<void>;
  broken(connection: C, problem: BrokenRequest): void;
}
