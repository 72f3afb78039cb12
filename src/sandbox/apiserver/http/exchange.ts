import type { IncomingMessage, ServerResponse } from 'node:http';
import type { UserInfo } from '../auth/user.js';
import type { Json } from '../json.js';
import type { OtherPath, ResourcePath } from './request-info.js';

/** One authenticated request and the means to answer it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly path: ResourcePath | OtherPath;
  readonly user: UserInfo;
  /** Aborts when the client goes away or the server closes. */
  readonly signal: AbortSignal;
  readonly warnings: string[];
}

/** Sends a JSON answer. */
export function sendJson(
  exchange: Pick<Exchange, 'response' | 'warnings'>,
  status: number,
  body: Json,
): void {
  sendText(exchange, status, 'application/json', `${JSON.stringify(body)}\n`);
}

/** Sends an answer of any type. */
export function sendText(
  exchange: Pick<Exchange, 'response' | 'warnings'>,
  status: number,
  contentType: string,
  text: string,
): void {
  const { response } = exchange;
  if (response.headersSent) return;
  const bytes = Buffer.from(text);
  response.statusCode = status;
  response.setHeader('Content-Type', contentType);
  response.setHeader('Cache-Control', 'no-cache, private');
  response.setHeader('Content-Length', bytes.length);
  setWarnings(exchange);
  response.end(bytes);
}

/** Adds the Warning headers that kubectl prints. */
export function setWarnings(exchange: Pick<Exchange, 'response' | 'warnings'>): void {
  if (exchange.warnings.length === 0) return;
  exchange.response.setHeader(
    'Warning',
    exchange.warnings
      .slice(0, 20)
      .map((w) => `299 - ${JSON.stringify(w.slice(0, 1000)).replace(/[^\x20-\x7e]/g, '?')}`),
  );
}
