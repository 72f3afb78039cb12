import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { breakOff } from '../../system/break-off.js';
import type { BrokenRequest, Exchange, ExchangeEnd, ResponseHead } from '../message/exchange.js';
import { HeaderList } from '../message/header-list.js';

/** Where an HTTP/1 request was addressed: the host in a whole URL replaces Host (RFC 9112 3.2.2). */
interface Addressed {
  readonly target: string;
  readonly authority: string | undefined;
}

function addressOf(url: string, headers: HeaderList): Addressed {
  const [, authority, rest] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
  if (authority === undefined || rest === undefined)
    return { target: url, authority: headers.joined('host') };
  // The backend gets a path; Host must say what the URL said.
  const hosts = headers.all('host');
  if (hosts.length <= 1) headers.set('host', authority);
  return { target: rest.startsWith('/') ? rest : `/${rest}`, authority };
}

function parseVersion({ httpVersion }: IncomingMessage): '1.0' | '1.1' {
  return httpVersion === '1.1' ? '1.1' : '1.0';
}

/** A request over HTTP/1. */
export class Http1Exchange implements Exchange {
  readonly #request: IncomingMessage;
  readonly #options: {
    readonly expectsContinue: boolean;
    /** Whether the connection takes no request after this one. */
    readonly isLast: () => boolean;
  };

  readonly #onBroken: ((problem: BrokenRequest) => void)[] = [];
  #problem: BrokenRequest | undefined;

  readonly version: '1.0' | '1.1';
  readonly method: string;
  readonly target: string;
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  readonly body: Readable | undefined;
  readonly upgrade: string | undefined = undefined;

  constructor(
    request: IncomingMessage,
    protected readonly response: ServerResponse,
    options: {
      readonly expectsContinue: boolean;
      /** Whether the connection takes no request after this one. */
      readonly isLast: () => boolean;
    },
  ) {
    this.#request = request;
    this.#options = options;

    this.version = parseVersion(request);
    this.method = request.method ?? '';
    this.headers = HeaderList.fromRaw(request.rawHeaders);
    const { target, authority } = addressOf(request.url ?? '', this.headers);
    this.target = target;
    this.authority = authority;
    const hasBody =
      this.headers.has('transfer-encoding') || Number(this.headers.joined('content-length') ?? 0) !== 0;
    this.body = hasBody ? request : undefined;
    // Breaking off a body shows as an error on the request; the response's end reports it.
    request.on('error', ignoreError);
    response.on('error', ignoreError);
    // A response that ended first ends the connection: the rest of the body may never come, or never end.
    response.once('finish', () => {
      if (!request.complete) request.socket.end();
    });
  }

  get expectsContinue(): boolean {
    return this.#options.expectsContinue;
  }

  /** Whether the whole request has come. */
  get isComplete(): boolean {
    return this.#request.complete;
  }

  /** Tells the handler that the rest of the body cannot be read. */
  breakOff(problem: BrokenRequest): void {
    this.#problem = problem;
    for (const listener of this.#onBroken.splice(0)) listener(problem);
  }

  onBroken(listener: (problem: BrokenRequest) => void): void {
    if (this.#problem === undefined) this.#onBroken.push(listener);
    else listener(this.#problem);
  }

  get isStarted(): boolean {
    return this.response.headersSent;
  }

  get out(): Writable {
    return this.response;
  }

  requestTrailers(): readonly string[] {
    return this.#request.rawTrailers;
  }

  sendContinue(): void {
    if (!this.response.headersSent && !this.response.destroyed) this.response.writeContinue();
  }

  sendHead({ status, headers, skipsBody }: ResponseHead, isEmpty: boolean): void {
    if (this.response.destroyed) return;
    const isLast = this.#options.isLast() || (skipsBody === true && !this.#request.complete);
    if (isLast) this.response.shouldKeepAlive = false;
    this.response.sendDate = false;
    // Node would announce Keep-Alive and its timeout, which HTTP/1.1 implies and clients of a mesh never saw.
    this.response.removeHeader('connection');
    const closing = this.response.shouldKeepAlive ? [] : ['connection', 'close'];
    this.response.writeHead(status, [...headers.toRaw(), ...closing]);
    if (isEmpty) this.response.end();
    else this.response.flushHeaders();
  }

  finish(trailers: readonly string[]): void {
    // A client that did not ask for trailers does not get them (RFC 9110 6.5.1).
    if (trailers.length > 0 && this.headers.joined('te')?.toLowerCase().includes('trailers') === true) {
      this.response.addTrailers(pairs(trailers));
    }
    this.response.end();
  }

  switchProtocols(_head: ResponseHead): { readonly stream: Duplex; readonly head: Buffer } {
    throw new Error('the request did not ask for another protocol');
  }

  reset(): void {
    breakOff(this.#request.socket);
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    const end = (): void => listener(this.response.writableFinished ? 'finished' : 'aborted');
    if (this.response.closed) queueMicrotask(end);
    else this.response.once('close', end);
  }
}

/** An HTTP/1 request to switch protocols: Node hands over the raw connection with it. */
export class Http1UpgradeExchange extends Http1Exchange {
  readonly #raw: { readonly stream: Duplex; readonly head: Buffer; readonly protocol: string };

  override readonly upgrade: string;
  #isSwitched = false;
  readonly #listeners: ((end: ExchangeEnd) => void)[] = [];

  constructor(
    request: IncomingMessage,
    raw: { readonly stream: Duplex; readonly head: Buffer; readonly protocol: string },
  ) {
    const response = new ServerResponse(request);
    super(request, response, { expectsContinue: false, isLast: () => true });
    this.#raw = raw;

    this.upgrade = raw.protocol;
    // A plain answer ends the connection: what follows on it was meant for the other protocol.
    response.shouldKeepAlive = false;
    // The parameter's type asks for a Socket; any Duplex will do, as for the server itself.
    response.assignSocket(raw.stream as never);
    response.once('finish', () => {
      response.detachSocket(raw.stream as never);
      raw.stream.end();
      raw.stream.resume();
    });
  }

  override switchProtocols({ headers }: ResponseHead): { stream: Duplex; head: Buffer } {
    this.#isSwitched = true;
    const { stream, head } = this.#raw;
    this.response.detachSocket(stream as never);
    const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`);
    stream.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`, 'latin1');
    return { stream, head };
  }

  override get isStarted(): boolean {
    return this.#isSwitched || super.isStarted;
  }

  override onEnd(listener: (end: ExchangeEnd) => void): void {
    this.#listeners.push(listener);
    if (this.#listeners.length > 1) return;
    const end = (): void => {
      const isFinished = this.#isSwitched || this.response.writableFinished;
      for (const each of this.#listeners.splice(0)) each(isFinished ? 'finished' : 'aborted');
    };
    if (this.#raw.stream.closed) queueMicrotask(end);
    else this.#raw.stream.once('close', end);
  }

  override reset(): void {
    breakOff(this.#raw.stream);
  }
}

/** Node's flat list as pairs. */
function pairs(raw: readonly string[]): [string, string][] {
  return [...HeaderList.fromRaw(raw)].map(([name, value]) => [name, value]);
}

/** Errors of a message also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
