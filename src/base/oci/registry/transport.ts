import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { connectionFailure } from './registry-error.js';

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes, or a stream of `bodyBytes`. */
  readonly body?: Buffer | Readable;
  readonly bodyBytes?: number;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Must be read or destroyed. */
  readonly body: IncomingMessage;
  /** Where it came from, after redirections. */
  readonly url: URL;
}

export interface TransportOptions {
  /** PEM of authorities that are trusted besides the usual ones. */
  readonly ca?: string | undefined;
  readonly signal: AbortSignal;
  /** Milliseconds until a connection stands. Default 10 s. */
  readonly connectMs?: number | undefined;
  /** Milliseconds without a byte. Default 60 s. */
  readonly idleMs?: number | undefined;
}

const connectDefaultMs = 10_000;
const idleDefaultMs = 60_000;

/** HTTP and HTTPS to registries, over few kept connections. Throws MESH1201, MESH1206 or MESH1211. */
export class Transport {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: 8 });
  readonly #https: HttpsAgent;
  readonly #o: TransportOptions;

  constructor(options: TransportOptions) {
    this.#o = options;
    this.#https = new HttpsAgent({
      keepAlive: true,
      maxSockets: 8,
      ...(options.ca === undefined ? {} : { ca: [...rootCertificates, options.ca] }),
    });
  }

  send(url: URL, r: RegistryRequest): Promise<RegistryAnswer> {
    const isSecure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      let hasConnected = false;
      const fail = (error: Error): void => {
        reject(this.#o.signal.aborted ? this.#o.signal.reason : connectionFailure(url, error, hasConnected));
      };
      const request = (isSecure ? httpsRequest : httpRequest)(url, {
        method: r.method,
        agent: isSecure ? this.#https : this.#http,
        signal: this.#o.signal,
        headers: {
          'user-agent': 'meshctl',
          ...r.headers,
          ...(r.body === undefined ? {} : { 'content-length': String(bytesOf(r)) }),
        },
      });
      const { connectMs = connectDefaultMs, idleMs = idleDefaultMs } = this.#o;
      const connectTimer = setTimeout(
        () => request.destroy(timedOut('no connection stood', connectMs)),
        connectMs,
      );
      const onConnected = (): void => {
        hasConnected = true;
        clearTimeout(connectTimer);
      };
      request.on('socket', (socket) => {
        if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', onConnected);
        else onConnected();
      });
      request.on('close', () => clearTimeout(connectTimer));
      request.setTimeout(idleMs, () => request.destroy(timedOut('not a byte came', idleMs)));
      request.on('error', fail);
      request.on('response', (body) => {
        resolve({ status: body.statusCode ?? 0, headers: body.headers, body, url });
      });
      if (r.body === undefined || Buffer.isBuffer(r.body)) request.end(r.body);
      else pipeline(r.body, request, (error) => error && fail(error));
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

function timedOut(what: string, ms: number): Error {
  return Object.assign(new Error(`${what} within ${ms / 1000} s`), { code: 'ETIMEDOUT' });
}

function bytesOf({ body, bodyBytes }: RegistryRequest): number {
  return Buffer.isBuffer(body) ? body.length : (bodyBytes ?? 0);
}
