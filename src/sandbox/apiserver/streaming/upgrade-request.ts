import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ResourcePath } from '../http/request-info.js';

/** An upgrade request whose client may make it. */
export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the request already. */
  readonly head: Buffer;
  readonly url: URL;
  readonly path: ResourcePath;
  /** Lower case: `websocket`, `spdy/3.1` or anything else. */
  readonly protocol: string;
  /** Aborts when the connection ends or the server closes. */
  readonly signal: AbortSignal;
}
