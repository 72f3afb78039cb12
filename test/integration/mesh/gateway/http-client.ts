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
  // A response that is broken off shows on both; the body's reader tells.
  request.on('error', () => undefined);
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
}

/** The next answer on a kept connection, which must have a length; undefined of it, what came until the end. */
export async function answerOn(tunnel: Duplex): Promise<string> {
  let seen = '';
  const isWhole = (): boolean => {
    const [, head = '', body] = /^([^]*?\r\n\r\n)([^]*)$/.exec(seen) ?? [];
    const length = /^content-length: (\d+)\r$/im.exec(head)?.[1];
    return body !== undefined && body.length >= Number(length ?? Number.POSITIVE_INFINITY);
  };
  await new Promise<void>((resolve) => {
    const onData = (chunk: Buffer): void => {
      seen += chunk.toString('latin1');
      if (isWhole()) done();
    };
    const done = (): void => {
      tunnel.off('data', onData).off('end', done).off('close', done);
      resolve();
    };
    tunnel.on('data', onData).once('end', done).once('close', done);
  });
  return seen;
}

/** Sends bytes, ends the sending side, and returns everything that came back. */
export async function exchangeRaw(tunnel: Duplex, bytes: string | Buffer): Promise<string> {
  tunnel.end(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  return text(tunnel);
}
