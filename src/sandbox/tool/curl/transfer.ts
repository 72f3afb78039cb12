import type { Socket } from 'node:net';
import { openConnection, targetOf } from './connection.js';
import { exchangeHttp1, exchangeHttp2, type Outgoing, type ReplyHead } from './exchange.js';
import { curlExit, TransferFailure } from './failure.js';
import type { CurlOptions } from './options.js';
import type { TransferFacts } from './write-out.js';

const userAgent = 'curl/8.0 (meshctl tool)';

/** Where a transfer writes: reply body, reply head and `-v` notes. */
export interface TransferOutput {
  body(chunk: Buffer): Promise<void> | undefined;
  head(text: string): void;
  note(prefix: '*' | '>' | '<', line: string): void;
}

/** Connections that may be used again, by scheme, host and port. Owned by one command. */
export type IdleConnections = Map<string, Socket>;

/** Runs one URL to its end, following redirects when asked; fills `facts` as it goes. */
export async function transfer(o: {
  readonly url: URL;
  readonly options: CurlOptions;
  readonly output: TransferOutput;
  readonly facts: TransferFacts;
  readonly idle: IdleConnections;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { options, facts } = o;
  const began = performance.now();
  let url = o.url;
  let method = methodOf(options);
  let hasBody = bodyOf(options) !== undefined;
  try {
    for (;;) {
      const head = await single({ ...o, url, method, hasBody, began });
      const location = head.headers.find(([name]) => name.toLowerCase() === 'location')?.[1];
      const next =
        head.status >= 300 && head.status < 400 && location ? redirectTo(location, url) : undefined;
      facts.redirectUrl = next?.href ?? '';
      if (next === undefined || !options.followRedirects) return;
      if (facts.redirectCount >= options.redirectsMax) {
        throw new TransferFailure(
          curlExit.tooManyRedirects,
          `Maximum (${options.redirectsMax}) redirects followed`,
        );
      }
      facts.redirectCount++;
      // RFC 9110 15.4: 303 changes the method, and user agents do so for POST with 301 and 302.
      const changesMethod = head.status === 303 || (method === 'POST' && head.status <= 302);
      if (changesMethod && options.method === undefined && method !== 'HEAD') {
        method = 'GET';
        hasBody = false;
      }
      url = next;
    }
  } finally {
    facts.timeTotal = (performance.now() - began) / 1000;
  }
}

async function single(o: {
  readonly url: URL;
  readonly method: string;
  readonly hasBody: boolean;
  readonly began: number;
  readonly options: CurlOptions;
  readonly output: TransferOutput;
  readonly facts: TransferFacts;
  readonly idle: IdleConnections;
  readonly signal: AbortSignal;
}): Promise<ReplyHead> {
  const { url, options, facts, output, began } = o;
  const target = targetOf(url);
  const outgoing = outgoingFor(o);
  facts.urlEffective = url.href;
  facts.method = o.method;
  facts.sizeUpload = outgoing.body?.length ?? 0;
  facts.sizeDownload = 0;
  const key = `${url.protocol}//${url.host}`;
  const kept = o.idle.get(key);
  o.idle.delete(key);
  let socket: Socket;
  if (kept !== undefined && !kept.destroyed) {
    socket = kept;
    output.note('*', `Re-using existing connection with host ${target.host}`);
  } else {
    const opened = await openConnection({
      target,
      options,
      signal: o.signal,
      note: (line) => output.note('*', line),
    });
    socket = opened.socket;
    facts.connectCount++;
    facts.timeNamelookup = (opened.times.lookedUpAt - began) / 1000;
    facts.timeConnect = (opened.times.connectedAt - began) / 1000;
    facts.timeAppconnect = opened.times.securedAt === 0 ? 0 : (opened.times.securedAt - began) / 1000;
  }
  facts.remoteIp = socket.remoteAddress ?? '';
  facts.remotePort = socket.remotePort ?? 0;
  facts.localIp = socket.localAddress ?? '';
  facts.localPort = socket.localPort ?? 0;
  const version = options.http2PriorKnowledge ? '2' : options.http10 ? '1.0' : '1.1';
  output.note('>', `${outgoing.method} ${outgoing.path} HTTP/${version}`);
  for (const [name, value] of outgoing.headers) output.note('>', `${name}: ${value}`);
  output.note('>', '');
  let head: ReplyHead | undefined;
  const sink = {
    onHead: (received: ReplyHead): void => {
      head = received;
      if (facts.timeStarttransfer === 0) facts.timeStarttransfer = (performance.now() - began) / 1000;
      recordHead(facts, received);
      showHead(output, received);
    },
    onBody: (chunk: Buffer): Promise<void> | undefined => {
      facts.sizeDownload += chunk.length;
      if (options.failOnError && facts.httpCode >= 400) return undefined;
      if (options.isHead || willFollow(options, facts)) return undefined;
      return output.body(chunk);
    },
  };
  const exchange = { socket, outgoing, sink, signal: o.signal };
  try {
    if (options.http2PriorKnowledge) await exchangeHttp2(exchange);
    else if (await exchangeHttp1(exchange)) o.idle.set(key, socket);
    else socket.destroy();
  } catch (error) {
    socket.destroy();
    if (o.signal.aborted) {
      throw new TransferFailure(
        curlExit.timeout,
        `Operation timed out after ${Math.round(performance.now() - began)} milliseconds with ${facts.sizeDownload} bytes received`,
      );
    }
    throw error;
  }
  if (head === undefined) throw new TransferFailure(curlExit.emptyReply, 'Empty reply from server');
  return head;
}

function willFollow(options: CurlOptions, facts: TransferFacts): boolean {
  return (
    options.followRedirects &&
    facts.httpCode >= 300 &&
    facts.httpCode < 400 &&
    facts.headers['location'] !== undefined
  );
}

function recordHead(facts: TransferFacts, head: ReplyHead): void {
  facts.httpCode = head.status;
  facts.httpVersion = head.httpVersion;
  facts.headerCount = head.headers.length;
  const headers: Record<string, string> = {};
  for (const [name, value] of head.headers) {
    const key = name.toLowerCase();
    headers[key] = Object.hasOwn(headers, key) ? `${headers[key]}, ${value}` : value;
  }
  facts.headers = headers;
  facts.contentType = headers['content-type'] ?? '';
}

function showHead(output: TransferOutput, head: ReplyHead): void {
  const lines = [
    `HTTP/${head.httpVersion} ${head.status} ${head.statusText}`,
    ...head.headers.map(([name, value]) => `${name}: ${value}`),
    '',
  ];
  for (const line of lines) output.note('<', line);
  output.head(lines.map((line) => `${line}\r\n`).join(''));
}

function outgoingFor(o: {
  readonly url: URL;
  readonly method: string;
  readonly hasBody: boolean;
  readonly options: CurlOptions;
}): Outgoing {
  const { url, options } = o;
  const body = o.hasBody ? bodyOf(options) : undefined;
  const query = options.isGet && options.data.length > 0 ? joined(options.data).toString('utf8') : '';
  const search = query === '' ? url.search : `${url.search === '' ? '?' : `${url.search}&`}${query}`;
  const headers: [string, string][] = [
    ['Host', url.host],
    ['User-Agent', userAgent],
    ['Accept', '*/*'],
  ];
  const credentials = options.user ?? (url.username === '' ? undefined : `${url.username}:${url.password}`);
  if (credentials !== undefined) {
    headers.push(['Authorization', `Basic ${Buffer.from(credentials).toString('base64')}`]);
  }
  if (body !== undefined) {
    headers.push(
      ['Content-Length', String(body.length)],
      ['Content-Type', 'application/x-www-form-urlencoded'],
    );
  }
  const given = new Set(options.headers.map(([name]) => name.toLowerCase()));
  const kept = headers.filter(([name]) => !given.has(name.toLowerCase()));
  for (const [name, value] of options.headers) if (value !== undefined) kept.push([name, value]);
  return {
    method: o.method,
    path: `${url.pathname}${search}`,
    authority: url.host,
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    headers: kept,
    body,
  };
}

function methodOf(options: CurlOptions): string {
  if (options.method !== undefined) return options.method;
  if (options.isHead) return 'HEAD';
  return options.data.length > 0 && !options.isGet ? 'POST' : 'GET';
}

function bodyOf(options: CurlOptions): Buffer | undefined {
  return options.data.length === 0 || options.isGet ? undefined : joined(options.data);
}

function joined(data: readonly Buffer[]): Buffer {
  return Buffer.concat(data.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from('&'), part])));
}

function redirectTo(location: string, base: URL): URL | undefined {
  return URL.canParse(location, base.href) ? new URL(location, base) : undefined;
}
