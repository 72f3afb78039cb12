import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { curlExit, TransferFailure, transferFailure } from './failure.js';

/** One HTTP request ready to send on an open connection. */
export interface Outgoing {
  readonly method: string;
  /** Origin-form target: path and query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | undefined;
}

/** Head of the reply; names as received. */
export interface ReplyHead {
  readonly status: number;
  readonly statusText: string;
  readonly httpVersion: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** Receives the reply piece by piece; `onBody` may return a promise to slow the sender down. */
export interface ReplySink {
  onHead(head: ReplyHead): void;
  onBody(chunk: Buffer): Promise<void> | undefined;
}

/** Sends one request over HTTP/1.x. Resolves to whether the connection can take another request. */
export async function exchangeHttp1(o: {
  readonly socket: Socket;
  readonly outgoing: Outgoing;
  readonly sink: ReplySink;
  readonly signal: AbortSignal;
}): Promise<boolean> {
  const { outgoing, socket } = o;
  // An agent that only ever hands out this connection; it reports reuse on `free`.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => socket;
  let canReuse = false;
  agent.on('free', () => {
    canReuse = true;
  });
  let hasReply = false;
  try {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest({
        agent,
        method: outgoing.method,
        path: outgoing.path,
        setHost: false,
        headers: flatten(outgoing.headers),
        signal: o.signal,
      });
      request.once('response', resolve);
      request.once('error', reject);
      request.on('information', (info) => {
        o.sink.onHead({
          status: info.statusCode,
          statusText: info.statusMessage,
          httpVersion: info.httpVersion,
          headers: pairs(info.rawHeaders),
        });
      });
      request.end(outgoing.body);
    });
    hasReply = true;
    o.sink.onHead({
      status: reply.statusCode ?? 0,
      statusText: reply.statusMessage ?? '',
      httpVersion: reply.httpVersion,
      headers: pairs(reply.rawHeaders),
    });
    for await (const chunk of reply as AsyncIterable<Buffer>) await o.sink.onBody(chunk);
  } catch (error) {
    throw transferFailure(error, { hasReply });
  }
  // The agent frees the socket on the tick after the reply's end.
  await new Promise((resolve) => setImmediate(resolve));
  return canReuse && !socket.destroyed;
}

/** Sends one request as a new HTTP/2 session with prior knowledge, which ends with the reply. */
export async function exchangeHttp2(o: {
  readonly socket: Socket;
  readonly outgoing: Outgoing;
  readonly sink: ReplySink;
  readonly signal: AbortSignal;
}): Promise<void> {
  const http2 = await import('node:http2');
  const { outgoing } = o;
  const session = http2.connect(`${outgoing.scheme}://${outgoing.authority}`, {
    createConnection: () => o.socket,
  });
  const connectionHeaders = new Set(['connection', 'host', 'transfer-encoding', 'keep-alive', 'upgrade']);
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of outgoing.headers) {
    const key = name.toLowerCase();
    if (connectionHeaders.has(key)) continue;
    const before = headers[key];
    headers[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  const authority =
    outgoing.headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? outgoing.authority;
  let hasReply = false;
  try {
    const sessionFailed = new Promise<never>((_, reject) => {
      session.once('error', reject);
      session.once('goaway', (code) => {
        if (code !== 0) reject(new TransferFailure(curlExit.http2, `HTTP/2 GOAWAY with error ${code}`));
      });
      session.once('close', () => {
        reject(new TransferFailure(curlExit.emptyReply, 'Empty reply from server'));
      });
    });
    // It may reject after the transfer has its result.
    sessionFailed.catch(() => undefined);
    const stream = session.request(
      {
        ':method': outgoing.method,
        ':path': outgoing.path,
        ':scheme': outgoing.scheme,
        ':authority': authority,
        ...headers,
      },
      { endStream: outgoing.body === undefined, signal: o.signal },
    );
    if (outgoing.body !== undefined) stream.end(outgoing.body);
    const transfer = async (): Promise<void> => {
      await new Promise<void>((resolve, reject) => {
        stream.once('response', (fields) => {
          hasReply = true;
          o.sink.onHead({
            status: Number(fields[':status']),
            statusText: '',
            httpVersion: '2',
            headers: Object.entries(fields).flatMap(([name, value]) =>
              name.startsWith(':') || value === undefined
                ? []
                : (Array.isArray(value) ? value : [String(value)]).map((each): [string, string] => [
                    name,
                    each,
                  ]),
            ),
          });
          resolve();
        });
        stream.once('error', reject);
        stream.once('close', () => {
          reject(new TransferFailure(curlExit.http2, `HTTP/2 stream closed with error ${stream.rstCode}`));
        });
      });
      for await (const chunk of stream as AsyncIterable<Buffer>) await o.sink.onBody(chunk);
    };
    await Promise.race([transfer(), sessionFailed]);
  } catch (error) {
    throw transferFailure(error, { hasReply });
  } finally {
    session.destroy();
  }
}

function pairs(raw: readonly string[] | undefined): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i + 1 < (raw?.length ?? 0); i += 2) result.push([raw?.[i] ?? '', raw?.[i + 1] ?? '']);
  return result;
}

function flatten(headers: readonly (readonly [string, string])[]): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {};
  const spelled = new Map<string, string>();
  for (const [name, value] of headers) {
    const key = spelled.get(name.toLowerCase()) ?? name;
    spelled.set(name.toLowerCase(), key);
    const before = result[key];
    result[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return result;
}
