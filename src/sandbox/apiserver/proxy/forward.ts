import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ApiExchange } from '../http/exchange.js';
import { clientHeaders, type RedirectBase } from './proxy-headers.js';

/** No answer came from a backend. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
}

function unreachable(error: unknown): BackendError {
  return new BackendError(`error trying to reach service: ${messageOf(error)}`);
}

/** Where an answer comes from, as far as the client must not see it. */
export interface AnswerView extends RedirectBase {
  /** What an answer with these headers must go through, such as a page whose links lead behind the proxy. */
  readonly pageOf?: (headers: IncomingHttpHeaders) => Transform | undefined;
}

/** Sends a client's request on and the backend's answer back. Throws BackendError before an answer began. */
export async function forward(
  { request, response, signal }: Pick<ApiExchange, 'request' | 'response' | 'signal'>,
  outgoing: ClientRequest,
  view: AnswerView,
): Promise<void> {
  signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
  request.pipe(outgoing);
  const answer = await answered.catch((error: unknown) => {
    throw unreachable(error);
  });
  response.statusCode = answer.statusCode ?? 502;
  const page = view.pageOf?.(answer.headers);
  if (page !== undefined) delete answer.headers['content-length'];
  for (const [name, value] of clientHeaders(answer.headers, view)) response.setHeader(name, value);
  response.flushHeaders();
  // Either side may leave in the middle of an answer.
  await (page === undefined ? pipeline(answer, response) : pipeline(answer, page, response)).catch(
    () => undefined,
  );
}

/** What an upgraded connection of a client is made of. */
export interface UpgradedClient {
  readonly socket: Duplex;
  /** What came behind the request already. */
  readonly head: Buffer;
  readonly signal: AbortSignal;
}

/** Joins an upgraded connection with one to a backend. Throws BackendError before the upgrade is answered. */
export async function forwardUpgrade(
  { socket, head, signal }: UpgradedClient,
  outgoing: ClientRequest,
): Promise<void> {
  signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
  await new Promise<void>((resolve, reject) => {
    outgoing.once('error', (error) => reject(unreachable(error)));
    outgoing.once('upgrade', (answer, backend: Duplex, first) => {
      socket.write(headOf(answer));
      if (first.length > 0) socket.write(first);
      if (head.length > 0) backend.write(head);
      void Promise.allSettled([pipeline(socket, backend), pipeline(backend, socket)]).then(() => resolve());
    });
    outgoing.once('response', (answer) => {
      // The backend does not upgrade: its refusal is the answer.
      answer.headers.connection = 'close';
      socket.write(headOf(answer));
      void pipeline(answer, socket)
        .catch(() => undefined)
        .then(() => resolve());
    });
    outgoing.end();
  });
}

function headOf(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? '';
    if (name.toLowerCase() === 'transfer-encoding') continue;
    lines.push(`${name}: ${answer.rawHeaders[i + 1] ?? ''}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** For the `timeout` option of requests to backends, with `boundConnecting`. */
export const connectTimeoutMs = 30_000;

/** Lets the timeout of a request bound the connecting only: answers may pause as long as they like. */
export function boundConnecting(outgoing: ClientRequest): ClientRequest {
  outgoing.once('timeout', () => {
    if (outgoing.socket?.connecting !== false) outgoing.destroy(new Error('i/o timeout'));
  });
  return outgoing;
}
