import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Logger } from '../../../telemetry/log.js';
import { type ApiError, apiError } from '../http/api-error.js';
import type { KubeletGateway } from '../kubelet-gateway.js';
import type { KubeObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import { assertPlaced, containerOf } from '../subresources/pod-container.js';
import { serveCommand } from './command-session.js';
import { servePortChannels } from './port-channels.js';
import { serveSpdyPorts } from './spdy-ports.js';
import type { UpgradeRequest } from './upgrades.js';
import { webSocketDuplex } from './web-socket-duplex.js';

const commandProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
];
/** kubectl's name for SPDY inside a WebSocket; the slash makes it no token, so the library sees another. */
const tunnelProtocol = { wire: 'SPDY/3.1+portforward.k8s.io', token: 'spdy-3.1-portforward.k8s.io' } as const;
const portProtocols = [tunnelProtocol.token, 'v4.channel.k8s.io', 'portforward.k8s.io'];
const spdyPortProtocol = 'portforward.k8s.io';
const messageMaxBytes = 32 * 1024 * 1024;

export interface PodStreamsDeps {
  readonly operations: Operations;
  readonly kubelet: KubeletGateway;
  readonly logger: Logger;
}

/** Serves exec, attach and port-forward: requests that leave HTTP by an upgrade. */
export class PodStreams {
  readonly #deps: PodStreamsDeps;
  readonly #sockets: WebSocketServer;

  constructor(deps: PodStreamsDeps) {
    this.#deps = deps;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: messageMaxBytes,
      perMessageDeflate: false,
      handleProtocols: (offered, request) => {
        const known = request.url?.includes('/portforward') === true ? portProtocols : commandProtocols;
        return known.find((p) => offered.has(p)) ?? false;
      },
    });
    this.#sockets.on('headers', (headers) => {
      headers.forEach((line, i) => {
        headers[i] = line.replace(tunnelProtocol.token, tunnelProtocol.wire);
      });
    });
  }

  /** Serves exec, attach or port-forward of a pod. Throws before the upgrade; what goes wrong later ends the stream. */
  async serve(upgrade: UpgradeRequest): Promise<void> {
    const { request, socket, head, url, path, protocol, signal } = upgrade;
    const { operations } = this.#deps;
    const pods = operations.registry.find('', 'v1', 'pods');
    if (path.group !== '' || path.plural !== 'pods' || pods === undefined) throw apiError.unknownPath();
    const pod = operations.get(pods, { namespace: path.namespace, name: path.name ?? '' });
    assertPlaced(pod);
    if (path.subresource === 'portforward')
      return this.#portForward(request, socket, head, { pod, protocol, url, signal });
    if (protocol !== 'websocket') throw upgradeRefused(protocol);
    // Checked before the upgrade, so that mistakes are readable.
    const container = containerOf(pod, url.searchParams.get('container') ?? '');
    if (path.subresource === 'exec' && url.searchParams.getAll('command').length === 0) {
      throw apiError.badRequest('you must specify at least 1 command for the container');
    }
    this.#accept(request, socket, head, commandProtocols, (webSocket) =>
      serveCommand(webSocket, {
        pod,
        container,
        query: url.searchParams,
        isAttach: path.subresource === 'attach',
        kubelet: this.#deps.kubelet,
        signal,
      }),
    );
  }

  #portForward(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    context: { pod: KubeObject; protocol: string; url: URL; signal: AbortSignal },
  ): void {
    const { pod, protocol, url, signal } = context;
    const target = { namespace: pod.metadata.namespace ?? '', pod: pod.metadata.name, uid: pod.metadata.uid };
    const open = (port: number) => this.#deps.kubelet.portForward({ ...target, port }, signal);
    if (protocol === 'spdy/3.1') {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${spdyPortProtocol}\r\n\r\n`,
      );
      if (head.length > 0) socket.unshift(head);
      this.#run(serveSpdyPorts(socket, open), socket);
      return;
    }
    if (protocol !== 'websocket') throw upgradeRefused(protocol);
    this.#accept(request, socket, head, portProtocols, (webSocket) => {
      if (webSocket.protocol === tunnelProtocol.token)
        return serveSpdyPorts(webSocketDuplex(webSocket), open);
      const ports = url.searchParams
        .getAll('ports')
        .flatMap((p) => p.split(','))
        .map(Number);
      return servePortChannels(webSocket, ports, open);
    });
  }

  #accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    protocols: readonly string[],
    serve: (webSocket: WebSocket) => Promise<void>,
  ): void {
    const header = (request.headers['sec-websocket-protocol'] ?? '').replace(
      tunnelProtocol.wire,
      tunnelProtocol.token,
    );
    request.headers['sec-websocket-protocol'] = header;
    const offered = header.split(',').map((p) => p.trim());
    if (!protocols.some((p) => offered.includes(p))) {
      throw apiError.badRequest(`none of the requested subprotocols is served: ${offered.join(', ')}`);
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('error', () => webSocket.terminate());
      this.#run(serve(webSocket), socket);
    });
  }

  #run(session: Promise<void>, socket: Duplex): void {
    session.catch((error: unknown) => {
      this.#deps.logger.debug('stream ended with an error', { error: String(error) });
      socket.destroy();
    });
  }
}

function upgradeRefused(protocol: string): ApiError {
  // 400 makes clients that can fall back do so.
  return apiError.badRequest(
    `unable to upgrade: upgrade to ${JSON.stringify(protocol)} is not served, use a WebSocket`,
  );
}
