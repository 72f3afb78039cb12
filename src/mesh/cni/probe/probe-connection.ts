import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ProbeHttpRequest } from './probe-request.js';

/** How a held connection stands. */
export interface ProbeState {
  readonly state: 'open' | 'closed';
  /** Milliseconds from the connection to its end, when it has ended. */
  readonly closedAfterMs?: number;
  /** `ECONNRESET` and the like; absent when the other side ended it in good order. */
  readonly error?: string;
}

/** The answer to a GET, or why there is none. */
export interface ProbeHttpAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The beginning of the body. */
  readonly body?: string;
  /** Milliseconds from the request to the head of the answer. */
  readonly ms?: number;
  readonly error?: string;
}

/** Headers that tell who answered; the rest is the application's business. */
const shownHeaders = [
  'server',
  'x-envoy-upstream-service-time',
  'x-request-id',
  'www-authenticate',
  'location',
];
const bodyMaxBytes = 256;
export const probeUserAgent = 'meshctl-probe';

/** One connection that the agent holds in a pod, until it is asked to let go or its time is up. */
export class ProbeConnection {
  readonly #socket: Socket;
  readonly #sinceMs = performance.now();
  #closedAfterMs: number | undefined;
  #error: string | undefined;
  #isAsked = false;

  constructor(socket: Socket, onClosed: () => void) {
    this.#socket = socket;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message;
    });
    socket.once('close', () => this.#ended());
    // What came before an answer was asked for (a greeting) is thrown away, and an end is noticed.
    socket.once('end', () => {
      this.#ended();
      if (!this.#isAsked) socket.destroy();
    });
    socket.once('close', onClosed);
    socket.resume();
  }

  get state(): ProbeState {
    if (this.#closedAfterMs === undefined) return { state: 'open' };
    const closedAfterMs = Math.round(this.#closedAfterMs);
    return {
      state: 'closed',
      closedAfterMs,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends one GET. Never rejects. */
  get({ authority, path, requestId, timeoutMs }: ProbeHttpRequest): Promise<ProbeHttpAnswer> {
    if (this.#isAsked) return Promise.resolve({ error: 'a probe sends one request only' });
    this.#isAsked = true;
    const startMs = performance.now();
    return new Promise((resolve) => {
      const request = httpRequest(
        {
          method: 'GET',
          path,
          headers: {
            host: authority,
            'user-agent': probeUserAgent,
            'x-request-id': requestId,
            connection: 'keep-alive',
          },
          createConnection: () => this.#socket,
        },
        (response) => {
          const ms = Math.round((performance.now() - startMs) * 10) / 10;
          let body = Buffer.alloc(0);
          const done = (): void => {
            clearTimeout(timer);
            resolve({
              status: response.statusCode ?? 0,
              headers: Object.fromEntries(
                shownHeaders.flatMap((name) => {
                  const value = response.headers[name];
                  return typeof value === 'string' ? [[name, value.slice(0, bodyMaxBytes)]] : [];
                }),
              ),
              body: body.toString('utf8'),
              ms,
            });
          };
          response.on('data', (chunk: Buffer) => {
            if (body.length < bodyMaxBytes) body = Buffer.concat([body, chunk]).subarray(0, bodyMaxBytes);
          });
          response.once('end', done);
          response.once('error', done);
        },
      );
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      request.once('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        resolve({ error: error.code ?? messageOf(error) });
      });
      request.end();
    });
  }

  #ended(): void {
    this.#closedAfterMs ??= performance.now() - this.#sinceMs;
  }
}
