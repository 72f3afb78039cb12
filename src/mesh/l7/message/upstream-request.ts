import type { Duplex, Readable } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import type { HeaderList } from './header-list.js';
import type { ResetReason } from './local-reply.js';

/** A request as it is sent to a backend. Hop-by-hop headers are already gone. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly authority: string;
  /** Without `host`. */
  readonly headers: HeaderList;
  readonly body: Readable | undefined;
  /** Complete after the body ended. */
  readonly trailers: () => readonly string[];
  readonly upgrade: string | undefined;
  readonly onContinue: () => void;
  /** Body bytes as they are sent. */
  readonly onBody: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** What a backend answered. */
export type UpstreamResponse =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly headers: HeaderList;
      /** Undefined: the head is the whole response. */
      readonly body: Readable | undefined;
      /** Complete after the body ended. */
      readonly trailers: () => readonly string[];
      /** After the body's end or close: whether all of it came. */
      readonly isComplete: () => boolean;
      readonly cancel: () => void;
    }
  | {
      readonly kind: 'upgraded';
      readonly status: number;
      readonly headers: HeaderList;
      readonly stream: Duplex;
      /** What the backend sent after its answer already. */
      readonly head: Buffer;
    };

/** A backend that was connected to failed before its response began. */
export class UpstreamError extends Error {
  /** The backend certainly did not act on the request, so that repeating it is safe. */
  readonly isUnprocessed: boolean;
  /** The connection had carried a request before: the backend may just have closed it for idleness. */
  readonly isReused: boolean;

  constructor(
    readonly reason: ResetReason,
    options: { readonly isUnprocessed: boolean; readonly isReused?: boolean; readonly cause?: unknown },
  ) {
    super(options.cause === undefined ? reason : messageOf(options.cause), { cause: options.cause });
    this.isUnprocessed = options.isUnprocessed;
    this.isReused = options.isReused === true;
  }
}
