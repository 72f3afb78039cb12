import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatHostPort } from '#base/net/authority.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { connectTcp } from '#base/system/socket.js';
import type { Credentials } from '../identity/credentials.js';
import type { SpiffeId } from '../identity/spiffe.js';
import { spiffeNames } from '../identity/subject-alt-name.js';
import { writeBytesOnly } from './byte-writes.js';
import { HboneError } from './hbone-error.js';
import { keepAlive } from './keepalive.js';
import {
  clientHeaderListMaxBytes,
  connectionWindowBytes,
  frameMaxBytes,
  handshakeTimeoutMs,
  sessionMemoryMaxMb,
  streamWindowBytes,
} from './parameters.js';
import type { ConnectOptions, HboneStream } from './stream.js';
import { peerExpiresMs, peerIdentities, secureContextOf, type TlsInfo, tlsInfo } from './tls.js';

export interface DialOptions {
  readonly destination: { readonly host: string; readonly port: number };
  readonly credentials: Credentials;
  readonly expectedIdentities: readonly SpiffeId[];
  readonly netns?: number | undefined;
  readonly mark?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly unusedReleaseMs: number;
}

/** Bound of the wait for the answer to CONNECT; the far proxy's own connect gives up after ten seconds. */
const responseTimeoutMs = 30_000;

/**
 * One HBONE connection to a peer. States: open -> retired (no new streams: GOAWAY, stream cap reached, certificate
 * expired, drain) -> closed when the last stream ended; or open -> closed on an error.
 */
export class HboneConnection {
  readonly #session: ClientHttp2Session;
  readonly #tls: TlsInfo;
  readonly #validUntilMs: number;
  readonly #unusedReleaseMs: number;

  #streamCount = 0;
  #isRetired = false;
  #isCapped = false;
  #cancelIdle: NodeJS.Timeout | undefined;

  private constructor(
    session: ClientHttp2Session,
    tls: TlsInfo,
    validUntilMs: number,
    unusedReleaseMs: number,
  ) {
    this.#session = session;
    this.#tls = tls;
    this.#validUntilMs = validUntilMs;
    this.#unusedReleaseMs = unusedReleaseMs;

    session.on('error', () => this.retire());
    session.on('goaway', () => this.retire());
    session.once('close', () => clearTimeout(this.#cancelIdle));
    keepAlive(session, () => session.destroy());
    this.#armIdle();
  }

  /** TCP, TLS with identity check, HTTP/2. Rejects with {@link HboneError} saying which step failed. */
  static async dial(options: DialOptions): Promise<HboneConnection> {
    const raw = await dialTcp(options);
    let tls: TLSSocket;
    try {
      tls = await secure(raw, options);
    } catch (error) {
      raw.destroy();
      throw new HboneError(`TLS with ${addressOf(options)} failed: ${messageOf(error)}`, {
        flag: 'TLS_FAILURE',
        cause: error,
      });
    }
    const peer = peerIdentities(tls).find((id) => options.expectedIdentities.includes(id));
    if (peer === undefined || tls.alpnProtocol !== 'h2') {
      tls.destroy();
      const flag = peer === undefined ? 'TLS_FAILURE' : 'H2_HANDSHAKE_FAILURE';
      throw new HboneError(`${addressOf(options)} did not agree to HTTP/2 over mesh TLS`, { flag });
    }
    const session = connectHttp2(`https://${addressOf(options)}`, {
      createConnection: () => tls,
      maxSessionMemory: sessionMemoryMaxMb,
      settings: {
        enablePush: false,
        initialWindowSize: streamWindowBytes,
        maxFrameSize: frameMaxBytes,
        maxHeaderListSize: clientHeaderListMaxBytes,
      },
    });
    session.once('connect', () => session.setLocalWindowSize(connectionWindowBytes));
    const validUntilMs = Math.min(options.credentials.notAfterMs, peerExpiresMs(tls));
    return new HboneConnection(session, tlsInfo(tls, peer), validUntilMs, options.unusedReleaseMs);
  }

  /** Closed, or about to be. */
  get isBroken(): boolean {
    return this.#isRetired || this.#session.closed || this.#session.destroyed;
  }

  /**
   * Takes a stream if there is room. A connection that reaches its cap leaves the pool for good, so that its last
   * streams do not keep an old connection alive for ever.
   */
  tryReserve(streamsMax: number): boolean {
    if (this.isBroken || this.#isCapped) return false;
    if (Date.now() >= this.#validUntilMs) {
      this.retire();
      return false;
    }
    const peerMax = this.#session.remoteSettings.maxConcurrentStreams ?? streamsMax;
    const cap = Math.max(1, Math.min(streamsMax, peerMax));
    if (this.#streamCount >= cap) return false;
    this.#streamCount++;
    if (this.#streamCount >= cap) this.#isCapped = true;
    clearTimeout(this.#cancelIdle);
    return true;
  }

  /** Sends CONNECT on a stream reserved before; resolves when the peer answered 200. */
  open(options: ConnectOptions): Promise<HboneStream> {
    return new Promise((resolve, reject) => {
      let stream: ClientHttp2Stream;
      try {
        stream = this.#session.request(
          { ...options.headers, ':method': 'CONNECT', ':authority': options.authority },
          { endStream: false },
        );
      } catch (error) {
        this.#release();
        reject(
          new HboneError(`HBONE request failed: ${messageOf(error)}`, { flag: 'CONNECT', cause: error }),
        );
        return;
      }
      let isSettled = false;
      const settle = (): void => {
        isSettled = true;
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        stream.off('response', onResponse);
      };
      const fail = (message: string, extra: { status?: number; cause?: unknown } = {}): void => {
        if (isSettled) return;
        settle();
        if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
        reject(new HboneError(message, { flag: 'CONNECT', ...extra }));
      };
      const onAbort = (): void => fail('the connection was given up', { cause: options.signal?.reason });
      const onResponse = (headers: IncomingHttpHeaders): void => {
        const status = Number(headers[':status']);
        if (status !== 200) {
          fail(`${this.#tls.peer} refused ${options.authority} with status ${status}`, { status });
          return;
        }
        settle();
        resolve({
          stream: writeBytesOnly(stream),
          peer: this.#tls.peer,
          tls: this.#tls,
          responseHeaders: headers,
        });
      };
      const timer = setTimeout(() => fail('no answer to CONNECT in time'), responseTimeoutMs);
      options.signal?.addEventListener('abort', onAbort, { once: true });
      stream.on('error', ignoreError);
      stream.once('response', onResponse);
      stream.once('error', (error) => fail(`HBONE stream failed: ${error.message}`, { cause: error }));
      stream.once('close', () => {
        this.#release();
        const code = stream.rstCode ?? 0;
        fail('the peer closed the stream before answering', {
          cause: code === constants.NGHTTP2_REFUSED_STREAM ? refused : undefined,
        });
      });
    });
  }

  /** Whether the failed request certainly was not acted upon by the peer, so that repeating it is safe. */
  refusedUnprocessed(error: HboneError): boolean {
    if (error.status !== undefined) return false;
    const cause = error.cause;
    if (cause === refused) return true;
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ERR_HTTP2_GOAWAY_SESSION' || code === 'ERR_HTTP2_INVALID_SESSION') return true;
    return code === 'ERR_HTTP2_STREAM_ERROR' && /REFUSED_STREAM/.test(messageOf(cause));
  }

  /** No new streams; closes when the last one ended. */
  retire(): void {
    this.#isRetired = true;
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close();
  }

  destroy(): void {
    this.#isRetired = true;
    this.#session.destroy();
  }

  onClosed(listener: () => void): void {
    if (this.#session.destroyed) queueMicrotask(listener);
    else this.#session.once('close', listener);
  }

  #release(): void {
    this.#streamCount--;
    if (this.#streamCount > 0) return;
    if (this.#isCapped || this.#isRetired) this.retire();
    else this.#armIdle();
  }

  #armIdle(): void {
    clearTimeout(this.#cancelIdle);
    this.#cancelIdle = setTimeout(() => this.retire(), this.#unusedReleaseMs);
    this.#cancelIdle.unref();
  }
}

/** Marks a stream the peer reset with REFUSED_STREAM. */
const refused = new Error('REFUSED_STREAM');

async function dialTcp(options: DialOptions): Promise<Socket> {
  try {
    return await connectTcp({
      host: options.destination.host,
      port: options.destination.port,
      netns: options.netns,
      mark: options.mark,
      timeoutMs: options.connectTimeoutMs,
    });
  } catch (error) {
    const isTimeout = error instanceof Error && 'code' in error && error.code === 'ETIMEDOUT';
    throw new HboneError(
      isTimeout
        ? `connection to ${addressOf(options)} timed out, maybe a NetworkPolicy is blocking HBONE port ${options.destination.port}`
        : `connection to ${addressOf(options)} failed: ${messageOf(error)}`,
      { flag: isTimeout ? 'NETWORK_POLICY' : 'CONNECT', cause: error },
    );
  }
}

function secure(raw: Socket, options: DialOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // HTTP/2 over a half-closed connection is of no use: the peer's FIN must end the session.
    raw.allowHalfOpen = false;
    // Without servername no SNI is sent; the name check is replaced by the identity check.
    const tls = connectTls({
      socket: raw,
      secureContext: secureContextOf(options.credentials),
      ALPNProtocols: ['h2'],
      rejectUnauthorized: true,
      checkServerIdentity: (_host, certificate) => {
        const names = spiffeNames(certificate.subjectaltname);
        if (names.some((name) => options.expectedIdentities.includes(name))) return undefined;
        const wanted = options.expectedIdentities.join(', ') || '(none)';
        return new Error(`the peer is ${names.join(', ') || 'nobody of the mesh'}, expected ${wanted}`);
      },
    });
    const timer = setTimeout(() => tls.destroy(new Error('the TLS handshake timed out')), handshakeTimeoutMs);
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      tls.off('close', onClose);
      resolve(tls);
    });
    tls.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    const onClose = (): void => {
      clearTimeout(timer);
      reject(new Error('the peer closed the connection during the handshake'));
    };
    tls.once('close', onClose);
  });
}

function addressOf(options: DialOptions): string {
  return formatHostPort(options.destination);
}

/** Stream errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
