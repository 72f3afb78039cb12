import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { headerBytesMax } from '../message/header-limits.js';
import type { EngineHandler } from './engine-handler.js';
import { Http2Exchange } from './http2-exchange.js';

/** Requests one client may run at a time on one connection. */
const concurrentStreamsMax = 100;
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 1024 * 1024;
/** Memory one connection may hold (MB, Node's unit). */
const sessionMemoryMaxMb = 32;

/** Serves HTTP/2 with prior knowledge on streams somebody else accepted. */
export class Http2Engine<C> {
  readonly #handler: EngineHandler<C>;

  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(handler: EngineHandler<C>) {
    this.#handler = handler;
  }

  /** Takes over a stream; the connection ends with it. */
  serve(stream: Duplex, connection: C): void {
    const session = performServerHandshake(stream as never, {
      maxSessionMemory: sessionMemoryMaxMb,
      settings: {
        maxConcurrentStreams: concurrentStreamsMax,
        maxHeaderListSize: headerBytesMax,
        initialWindowSize: streamWindowBytes,
      },
    }) as ServerHttp2Session;
    session.setLocalWindowSize(connectionWindowBytes);
    this.#sessions.add(session);
    session.once('close', () => {
      this.#sessions.delete(session);
      stream.destroy();
    });
    session.on('error', () => {
      this.#handler.broken(connection, { status: 400, details: 'http2.protocol_error' });
      stream.destroy();
    });
    session.on('stream', (request: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      void this.#handler.handle(new Http2Exchange(request, headers), connection);
    });
  }

  /** Announces the end on every connection; running requests continue. */
  drain(): void {
    for (const session of this.#sessions) session.close();
  }
}
