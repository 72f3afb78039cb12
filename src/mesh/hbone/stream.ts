import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Credentials } from '../identity/credentials.js';
import type { SpiffeId } from '../identity/spiffe.js';
import type { TlsInfo } from './tls.js';

/** Which stream is wanted: where to, for whom, and who the peer must be. */
export interface ConnectOptions {
  /** Next hop: the address dialled. */
  readonly destination: { readonly host: string; readonly port: number };
  /** `:authority` of the CONNECT: the address the peer shall reach. */
  readonly authority: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Who we are. */
  readonly credentials: Credentials;
  /** The peer must carry one of these; an empty list never matches. */
  readonly expectedIdentities: readonly SpiffeId[];
  /** Part of the pool's key: connections of different sources are never shared. */
  readonly sourceIp?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A stream the peer accepted. */
export interface HboneStream {
  /** Raw bytes both ways; ends and resets as a socket would. */
  readonly stream: Duplex;
  readonly peer: SpiffeId;
  readonly tls: TlsInfo;
  readonly responseHeaders: IncomingHttpHeaders;
}
