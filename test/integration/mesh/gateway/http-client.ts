import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One HTTP/1.1 request over a tunnel. */
export async function fetchOver(
  tunnel: Duplex,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<Answer> {
  const request = httpRequest({
    createConnection: () => tunnel,
    method: options.method ?? 'GET',
    path: options.path ?? '/',
    headers: { host: 'frontend', ...options.headers },
  });
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
}

/** Sends bytes, ends the sending side, and returns everything that came back. */
export async function exchangeRaw(tunnel: Duplex, bytes: string | Buffer): Promise<string> {
  tunnel.end(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  return text(tunnel);
}
