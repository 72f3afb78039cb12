import { STATUS_CODES } from 'node:http';
import { messageOf } from '#base/errors/mesh-error.js';
import { createLogger } from '#base/telemetry/log.js';
import type { EngineHandler } from '../../l7/codec/engine-handler.js';
import { prepareRequestHeaders, prepareResponseHeaders } from '../../l7/layers/header-policy.js';
import { guardRequest } from '../../l7/layers/request-guard.js';
import { removeHopByHop } from '../../l7/message/connection-options.js';
import type { BrokenRequest, Exchange, ExchangeEnd } from '../../l7/message/exchange.js';
import { isGrpc, type LocalReply, sendLocalReply } from '../../l7/message/local-reply.js';
import { normalizeTarget } from '../../l7/message/request-target.js';
import type { UpstreamRequest, UpstreamResponse } from '../../l7/message/upstream-request.js';
import { defaultRoute } from '../../l7/route/route.js';
import { copyBoth } from '../../system/copy.js';
import type { ConnectionContext } from '../connection/connection-context.js';
import { recordedBytes, type RequestRecord, type Telemetry } from '../telemetry/request-record.js';
import type { FilteredRequest, HttpFilter } from './filter.js';
import type { Forwarder, ForwardResult } from './forwarder.js';

const log = createLogger('http');

/** What the request path is made of. */
export interface HttpServiceDeps {
  /** In order. */
  readonly filters: readonly HttpFilter[];
  readonly forwarder: Forwarder;
  readonly telemetry: Pick<Telemetry, 'request'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * The request path: guard, normalize, filters, route, forward, record. Every exchange ends in exactly
 * one record, whatever happens to it.
 */
export class HttpService implements EngineHandler<ConnectionContext> {
  readonly #deps: HttpServiceDeps;

  constructor(deps: HttpServiceDeps) {
    this.#deps = deps;
  }

  async handle(exchange: Exchange, connection: ConnectionContext): Promise<void> {
    const record = this.#begin(exchange, connection);
    const aborted = new AbortController();
    const ended = new Promise<ExchangeEnd>((resolve) => exchange.onEnd(resolve));
    void ended.then((end) => {
      if (end === 'aborted') aborted.abort(new Error('the client went away'));
    });
    let problem: BrokenRequest | undefined;
    exchange.onBroken((found) => {
      problem = found;
      aborted.abort(new Error(found.details));
    });
    try {
      const reply = await this.#serve({ exchange, record, signal: aborted.signal });
      if (reply !== undefined) answer(exchange, record, reply);
      // The response had begun when the rest of the request turned out unreadable.
      else if (problem !== undefined) breakOff(exchange, record, problem);
    } catch (error) {
      if (problem !== undefined) {
        if (exchange.isStarted) breakOff(exchange, record, problem);
        else
          answer(exchange, record, { ...problem, body: STATUS_CODES[problem.status] ?? '', flags: ['DPE'] });
      } else if (!aborted.signal.aborted) {
        // Nothing is known about the state of this request any more: refuse it rather than guess.
        log.error('request failed', { error: messageOf(error), path: record.path });
        if (exchange.isStarted) exchange.reset();
        else answer(exchange, record, { status: 500, body: '', flags: [], details: 'internal_error' });
      }
    }
    this.#finish(record, await ended);
  }

  /** A connection that broke before its bytes made a request. */
  broken(connection: ConnectionContext, { status, details }: BrokenRequest): void {
    const record = makeRecord(connection, this.#deps.now());
    record.status = status;
    record.details = details;
    record.flags.push('DPE');
    this.#deps.telemetry.request(record);
  }

  #begin(exchange: Exchange, connection: ConnectionContext): RequestRecord {
    const { headers } = exchange;
    return {
      ...makeRecord(connection, this.#deps.now()),
      method: exchange.method,
      path: exchange.target,
      protocol: exchange.version === '2' ? 'HTTP/2' : `HTTP/${exchange.version}`,
      authority: exchange.authority,
      userAgent: headers.joined('user-agent'),
      forwardedFor: headers.joined('x-forwarded-for'),
      isGrpc: isGrpc(headers),
      requestId: headers.joined('x-request-id'),
      requestHeaderBytes: exchange.method.length + exchange.target.length + headers.sizeBytes,
    };
  }

  #finish(record: RequestRecord, end: ExchangeEnd): void {
    if (end === 'aborted' && !record.flags.includes('UC')) {
      record.flags.push('DC');
      record.details ??= 'downstream_remote_disconnect';
    }
    record.durationMs = Math.max(0, this.#deps.now() - record.startMs);
    this.#deps.telemetry.request(record);
  }

  /** Handles the request up to the end of sending the response; returns the local reply to send instead. */
  async #serve(run: Run): Promise<LocalReply | undefined> {
    const { exchange, record, signal } = run;
    const { version, method, authority } = exchange;
    const headers = exchange.headers.clone();
    const refusal = guardRequest({ version, method, authority, headers });
    if (refusal !== undefined)
      return { status: refusal.status, body: '', flags: ['DPE'], details: refusal.details };
    // `*` is no path; only OPTIONS may ask about the server as a whole (RFC 9112 3.2.4).
    const isServerWide = exchange.target === '*' && method === 'OPTIONS';
    const target = isServerWide ? { path: '*', query: '' } : normalizeTarget(exchange.target);
    if (target === undefined || authority === undefined) {
      return { status: 400, body: '', flags: [], details: 'path_normalization_failed' };
    }
    removeHopByHop(headers);
    const request: FilteredRequest = {
      connection: record.connection,
      method,
      ...target,
      authority,
      headers,
      auth: undefined,
    };
    for (const filter of this.#deps.filters) {
      const reply = await filter.apply(request);
      if (reply !== undefined) return reply;
    }
    if (exchange.upgrade !== undefined && !isWebSocket(exchange)) {
      return { status: 403, body: '', flags: [], details: 'upgrade_failed' };
    }
    prepareRequestHeaders(headers);
    record.requestId = headers.joined('x-request-id');
    record.routeName = defaultRoute.name;
    const result = await this.#deps.forwarder.forward({
      connection: record.connection,
      downstreamVersion: version === '2' ? '2' : '1.1',
      route: defaultRoute,
      upstream: upstreamRequest({ exchange, record, signal }, request),
    });
    record.endpoint = result.endpoint;
    if (result.kind === 'failed') {
      record.transportFailure = result.transportFailure;
      return result.reply;
    }
    await this.#passOn(run, result);
    return undefined;
  }

  async #passOn({ exchange, record, signal }: Run, result: Answered): Promise<void> {
    const { response, release } = result;
    try {
      record.upstreamServiceTimeMs = Math.max(0, this.#deps.now() - record.startMs);
      record.details = 'via_upstream';
      record.status = response.status;
      if (response.kind === 'upgraded') {
        switchProtocols(exchange, record, response);
        return;
      }
      const { headers, body } = response;
      // With a transfer coding the length is not a length (RFC 9112 6.3).
      if (headers.has('transfer-encoding')) headers.remove('content-length');
      removeHopByHop(headers);
      prepareResponseHeaders(headers, record.upstreamServiceTimeMs);
      record.responseHeaderBytes = headers.sizeBytes;
      record.grpcStatus = headers.joined('grpc-status');
      exchange.sendHead({ status: response.status, headers }, body === undefined);
      if (body !== undefined) await passBody({ exchange, record, signal }, response, body);
      // A backend that answered without waiting for the body does not get the rest of it.
      if (exchange.body?.readableEnded === false) {
        response.cancel();
        exchange.body.resume();
      }
    } finally {
      release();
    }
  }
}

interface Run {
  readonly exchange: Exchange;
  readonly record: RequestRecord;
  /** Aborted when the client went away. */
  readonly signal: AbortSignal;
}

type Answered = Extract<ForwardResult, { kind: 'answered' }>;
type PlainResponse = Extract<UpstreamResponse, { kind: 'response' }>;

function makeRecord(connection: ConnectionContext, startMs: number): RequestRecord {
  return {
    connection,
    startMs,
    method: '',
    path: '',
    protocol: '',
    authority: undefined,
    userAgent: undefined,
    forwardedFor: undefined,
    isGrpc: false,
    requestId: undefined,
    status: 0,
    flags: [],
    details: undefined,
    transportFailure: undefined,
    grpcStatus: undefined,
    receivedBytes: 0,
    sentBytes: 0,
    requestHeaderBytes: 0,
    responseHeaderBytes: 0,
    durationMs: 0,
    upstreamServiceTimeMs: undefined,
    endpoint: undefined,
    routeName: undefined,
  };
}

function answer(exchange: Exchange, record: RequestRecord, reply: LocalReply): void {
  const sent = sendLocalReply(exchange, reply);
  record.status = sent.status;
  record.details = reply.details;
  record.flags.push(...reply.flags);
  record.sentBytes = sent.bodyBytes;
  record.responseHeaderBytes = sent.headers.sizeBytes;
  record.grpcStatus = sent.grpcStatus?.toString();
}

/** Ends a response that had begun when the rest of its request turned out unreadable. */
function breakOff(exchange: Exchange, record: RequestRecord, { details }: BrokenRequest): void {
  record.flags.push('DPE');
  record.details = details;
  if (!exchange.out.writableEnded) exchange.reset();
}

/** A WebSocket handshake has no body; anything after it is of the other protocol. */
function isWebSocket({ upgrade, method, body }: Exchange): boolean {
  return upgrade === 'websocket' && method === 'GET' && body === undefined;
}

function upstreamRequest({ exchange, record, signal }: Run, request: FilteredRequest): UpstreamRequest {
  const headers = request.headers.clone();
  headers.remove('host');
  if (exchange.expectsContinue && exchange.body !== undefined) headers.set('expect', '100-continue');
  return {
    method: request.method,
    path: `${request.path}${request.query}`,
    authority: request.authority,
    headers,
    body: exchange.body,
    trailers: () => exchange.requestTrailers(),
    upgrade: exchange.upgrade,
    onContinue: () => exchange.sendContinue(),
    onBody: (bytes) => {
      record.receivedBytes += bytes;
    },
    signal,
  };
}

/** Sends a backend's body to the client; resolves when all was handed over or either side broke off. */
function passBody(
  { exchange, record, signal }: Run,
  response: PlainResponse,
  body: NonNullable<PlainResponse['body']>,
): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => response.cancel();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    body.pipe(exchange.out, { end: false });
    body.on('data', (chunk: Buffer) => {
      record.sentBytes += chunk.length;
    });
    body.on('error', () => undefined); // followed by 'close', where it is dealt with
    const settle = (): void => {
      signal.removeEventListener('abort', stop);
      body.unpipe(exchange.out);
      if (response.isComplete()) {
        const trailers = response.trailers();
        record.grpcStatus = trailerValue(trailers, 'grpc-status') ?? record.grpcStatus;
        exchange.finish(trailers);
      } else if (!signal.aborted) {
        record.flags.push('UC');
        record.details = 'upstream_reset_after_response_started{connection_termination}';
        exchange.reset();
      }
      resolve();
    };
    let isOver = false;
    const once = (): void => {
      if (isOver) return;
      isOver = true;
      settle();
    };
    body.once('end', once);
    body.once('close', once);
    // A backend may break off right behind the head of its answer.
    if (body.closed) once();
  });
}

function switchProtocols(
  exchange: Exchange,
  record: RequestRecord,
  response: Extract<UpstreamResponse, { kind: 'upgraded' }>,
): void {
  const headers = response.headers.clone();
  prepareResponseHeaders(headers, record.upstreamServiceTimeMs ?? 0);
  record.responseHeaderBytes = headers.sizeBytes;
  const client = exchange.switchProtocols({ status: 101, headers });
  void copyBoth(client.stream, response.stream, recordedBytes(record), {
    a: client.head,
    b: response.head,
  });
}

function trailerValue(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i]?.toLowerCase() === name) return raw[i + 1];
  }
  return undefined;
}
