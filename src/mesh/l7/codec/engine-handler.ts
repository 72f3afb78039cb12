import type { BrokenRequest, Exchange } from '../message/exchange.js';

/**
 * What the engines call, with what their caller said about the connection (`C`): they do not look at it. `handle`
 * resolves when the exchange has ended.
 */
export interface EngineHandler<C> {
  handle(exchange: Exchange, connection: C): Promise<void>;
  /** Bytes that made no exchange were answered with this. */
  broken(connection: C, problem: BrokenRequest): void;
}
