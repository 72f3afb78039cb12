import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { serveCommandChannels } from './command-channels.js';
import type { Command } from './command.js';
import { type PortOpener, servePortChannels } from './port-channels.js';
import { serveSpdyCommand, spdyCommandProtocols } from './spdy-command.js';
import { serveSpdyPorts } from './spdy-ports.js';
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

/** A request that asks to leave HTTP, and its connection. */
export interface UpgradeParts {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the request already. */
  readonly head: Buffer;
}

/** The client asks for no protocol that is served here; nothing was answered yet. */
export class UnknownProtocolError extends Error {
  override readonly name = 'UnknownProtocolError';
}

/** A command with the outputs its client asked for. */
export interface AcceptedCommand extends Command {
  readonly hasStdout: boolean;
  readonly hasStderr: boolean;
}

/** Accepts exec, attach and port-forward by WebSocket or SPDY, in every version clients use. */
export class StreamAcceptor {
  readonly #logger: Logger;
  readonly #sockets: WebSocketServer;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: messageMaxBytes,
      perMessageDeflate: false,
      handleProtocols: (offered) =>
        [...commandProtocols, ...portProtocols].find((p) => offered.has(p)) ?? false,
    });
    this.#sockets.on('headers', (headers) => {
      headers.forEach((line, i) => {
        headers[i] = line.replace(tunnelProtocol.token, tunnelProtocol.wire);
      });
    });
  }

  /** Runs an exec or attach session over the upgraded connection. Throws {@link UnknownProtocolError} before. */
  acceptCommand(upgrade: UpgradeParts, command: AcceptedCommand): void {
    if (isSpdy(upgrade)) {
      const offered = spdyProtocolsOf(upgrade);
      const protocol = spdyCommandProtocols.find((p) => offered.includes(p));
      if (protocol === undefined) throw unknown(offered);
      this.#run(serveSpdyCommand(switchToSpdy(upgrade, protocol), protocol, command), upgrade.socket);
      return;
    }
    this.#acceptWebSocket(upgrade, commandProtocols, (webSocket) => serveCommandChannels(webSocket, command));
  }

  /** Forwards ports over the upgraded connection. Throws {@link UnknownProtocolError} before. */
  acceptPorts(upgrade: UpgradeParts, ports: readonly number[], open: PortOpener): void {
    if (isSpdy(upgrade)) {
      const offered = spdyProtocolsOf(upgrade);
      // Early clients named none.
      if (offered.length > 0 && !offered.includes(spdyPortProtocol)) throw unknown(offered);
      this.#run(serveSpdyPorts(switchToSpdy(upgrade, spdyPortProtocol), open), upgrade.socket);
      return;
    }
    this.#acceptWebSocket(upgrade, portProtocols, (webSocket) =>
      webSocket.protocol === tunnelProtocol.token
        ? serveSpdyPorts(webSocketDuplex(webSocket), open)
        : servePortChannels(webSocket, ports, open),
    );
  }

  #acceptWebSocket(
    { request, socket, head }: UpgradeParts,
    protocols: readonly string[],
    serve: (webSocket: WebSocket) => Promise<void>,
  ): void {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      throw unknown([request.headers.upgrade ?? '']);
    const header = (request.headers['sec-websocket-protocol'] ?? '').replace(
      tunnelProtocol.wire,
      tunnelProtocol.token,
    );
    const offered = header.split(',').map((p) => p.trim());
    const known = protocols.filter((p) => offered.includes(p));
    if (known.length === 0) throw unknown(offered);
    request.headers['sec-websocket-protocol'] = known.join(', ');
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('error', () => webSocket.terminate());
      this.#run(serve(webSocket), socket);
    });
  }

  #run(session: Promise<void>, socket: Duplex): void {
    session.catch((error: unknown) => {
      this.#logger.debug('stream ended with an error', { error: messageOf(error) });
      socket.destroy();
    });
  }
}

function isSpdy({ request }: UpgradeParts): boolean {
  return request.headers.upgrade?.toLowerCase() === 'spdy/3.1';
}

function spdyProtocolsOf({ request }: UpgradeParts): string[] {
  return [request.headers['x-stream-protocol-version'] ?? []]
    .flat()
    .flatMap((line) => line.split(','))
    .map((p) => p.trim())
    .filter((p) => p !== '');
}

function switchToSpdy({ socket, head }: UpgradeParts, protocol: string): Duplex {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  return socket;
}

function unknown(offered: readonly string[]): UnknownProtocolError {
  return new UnknownProtocolError(
    `unable to upgrade: none of the requested protocols is served: ${offered.join(', ')}`,
  );
}
