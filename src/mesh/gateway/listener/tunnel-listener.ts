import type { Duplex } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { createLogger } from '#base/telemetry/log.js';
import { forwardedClient } from '../../hbone/forwarded.js';
import type { ConnectRequest } from '../../hbone/server.js';
import type { TlsInfo } from '../../hbone/tls.js';
import { parseSpiffe } from '../../identity/spiffe.js';
import { peekFirst } from '../../l7/codec/first-bytes.js';
import type { Http1Engine } from '../../l7/codec/http1-engine.js';
import type { Http2Engine } from '../../l7/codec/http2-engine.js';
import { sniffHttpVersion } from '../../l7/codec/sniff.js';
import { formatAddress } from '../../l7/message/address.js';
import type { ConnectionContext } from '../connection/connection-context.js';
import { type GatewaySelf, resolveDestination } from '../connection/destination.js';
import type { MeshView } from '../../view/mesh-view.js';
import { type Detected, ProtocolDetection } from './protocol-detection.js';
import type { TcpProxy } from './tcp-proxy.js';

const log = createLogger('listener');

/** A client's tunnel as diagnostics show it. */
export interface LiveTunnel {
  readonly src: string;
  readonly originalDst: string;
  readonly actualDst: string;
  readonly protocol: 'HTTP1' | 'HTTP2' | 'TCP' | 'DETECTING';
  readonly tls: TlsInfo;
  /** The application's `ip:port`, as its proxy tells it; `src` is that of a connection many share. */
  readonly client?: string;
}

/** Where tunnels go. */
export interface TunnelListenerDeps {
  readonly view: MeshView;
  readonly self: GatewaySelf;
  readonly http1: Http1Engine<ConnectionContext>;
  readonly http2: Http2Engine<ConnectionContext>;
  readonly tcp: TcpProxy;
}

/**
 * Decides for every CONNECT of an authenticated client what it is for and which engine serves it.
 * Refusals happen on the CONNECT itself where they can, so that the client's proxy can say why.
 */
export class TunnelListener {
  readonly #deps: TunnelListenerDeps;

  readonly #detection: ProtocolDetection;
  readonly #tunnels = new Map<Duplex, LiveTunnel>();
  readonly #idleWaiters: (() => void)[] = [];

  constructor(deps: TunnelListenerDeps) {
    this.#deps = deps;
    this.#detection = new ProtocolDetection(deps.tcp);
  }

  /** Tunnels being served. */
  get live(): readonly LiveTunnel[] {
    return [...this.#tunnels.values()];
  }

  /** Resolves when no tunnel is left, at once if that is so now. */
  idle(): Promise<void> {
    if (this.#tunnels.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Serves one CONNECT. Never rejects. */
  async serve(request: ConnectRequest): Promise<void> {
    try {
      await this.#dispatch(request);
    } catch (error) {
      log.error('tunnel failed', {
        authority: request.authority,
        peer: request.peer,
        error: messageOf(error),
      });
      request.reject(503);
    }
  }

  async #dispatch(request: ConnectRequest): Promise<void> {
    const { view, self } = this.#deps;
    const clientNamespace = parseSpiffe(request.peer)?.namespace ?? '';
    const destination = resolveDestination(view, self, { authority: request.authority, clientNamespace });
    if (destination.kind === 'refused') {
      const { status, reason } = destination;
      log.warn('refused', { peer: request.peer, authority: request.authority, status, reason });
      request.reject(status);
      return;
    }
    const { host, port } = request.remote;
    const context: ConnectionContext = {
      peer: request.peer,
      peerAddress: { ip: host, port },
      source: view.workloadAt(self.network, host),
      destination,
    };
    const { protocol } = destination;
    if (protocol === 'tcp' || protocol === 'tls') await this.#passTcp(request, context);
    else if (protocol === 'sniff') await this.#serveUndeclared(request, context);
    else await this.#serveHttp(request, context);
  }

  /** A port known not to be HTTP: the backend is reached before the client is told that it is. */
  async #passTcp(request: ConnectRequest, context: ConnectionContext): Promise<void> {
    const path = await this.#deps.tcp.open(context, request.signal);
    if ('status' in path) {
      log.warn('refused', { peer: request.peer, authority: request.authority, ...path });
      request.reject(path.status);
      return;
    }
    if (request.signal.aborted) {
      this.#deps.tcp.abandon(path);
      return;
    }
    const client = request.accept();
    this.#track(client, request, context, 'TCP');
    this.#deps.tcp.join(client, context, path);
  }

  /** A port declared as HTTP: which version, the client's first bytes tell. */
  async #serveHttp(request: ConnectRequest, context: ConnectionContext): Promise<void> {
    const client = request.accept();
    this.#track(client, request, context, 'DETECTING');
    const first = await peekFirst(client, sniffHttpVersion);
    if (first.kind !== 'found') {
      client.destroy();
      return;
    }
    this.#serveVersion(client, request, context, first.found);
  }

  #serveVersion(
    client: Duplex,
    request: ConnectRequest,
    context: ConnectionContext,
    version: 'http1' | 'http2',
  ): void {
    this.#track(client, request, context, version === 'http1' ? 'HTTP1' : 'HTTP2');
    this.#deps[version].serve(client, context);
  }

  async #serveUndeclared(request: ConnectRequest, context: ConnectionContext): Promise<void> {
    const client = request.accept();
    this.#track(client, request, context, 'DETECTING');
    const detected = await this.#detection.detect(client, context);
    switch (detected.kind) {
      case 'gone':
        client.destroy();
        return;
      case 'tcp':
        this.#track(client, request, context, 'TCP');
        await this.#passDetectedTcp(client, context, detected);
        return;
      default:
        this.#serveVersion(client, request, context, detected.kind);
    }
  }

  async #passDetectedTcp(
    client: Duplex,
    context: ConnectionContext,
    { head, path: reached }: Extract<Detected, { kind: 'tcp' }>,
  ): Promise<void> {
    const gone = new AbortController();
    client.once('close', () => gone.abort(new Error('the client went away')));
    const path = reached ?? (await this.#deps.tcp.open(context, gone.signal));
    if ('status' in path) {
      log.warn('refused', {
        peer: context.peer,
        authority: formatAddress(context.destination.address),
        ...path,
      });
      client.destroy();
    } else if (client.destroyed) {
      this.#deps.tcp.abandon(path);
    } else {
      this.#deps.tcp.join(client, context, { ...path, head });
    }
  }

  #forget(client: Duplex): void {
    this.#tunnels.delete(client);
    if (this.#tunnels.size > 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #track(
    client: Duplex,
    request: ConnectRequest,
    { destination, peerAddress }: ConnectionContext,
    protocol: LiveTunnel['protocol'],
  ): void {
    if (!this.#tunnels.has(client)) client.once('close', () => this.#forget(client));
    const application = forwardedClient(request.headers['forwarded']);
    this.#tunnels.set(client, {
      src: formatAddress(peerAddress),
      originalDst: destination.kind === 'service' ? destination.service.hostname : request.authority,
      actualDst: formatAddress(destination.address),
      protocol,
      tls: request.tls,
      ...(application === undefined ? {} : { client: application }),
    });
  }
}
