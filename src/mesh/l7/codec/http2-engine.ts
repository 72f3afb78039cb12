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
import {
  http2ConcurrentStreamsMax,
  http2ConnectionWindowBytes,
  http2SessionMemoryMaxMb,
  http2StreamWindowBytes,
} from './http2-limits.js';

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
      maxSessionMemory: http2SessionMemoryMaxMb,
      settings: {
        maxConcurrentStreams: http2ConcurrentStreamsMax,
        maxHeaderListSize: headerBytesMax,
        initialWindowSize: http2StreamWindowBytes,
      },
    }) as ServerHttp2Session;
    session.setLocalWindowSize(http2ConnectionWindowBytes);
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
