import { type WebSocket, WebSocketServer } from 'ws';
import { apiError } from '../api-error.js';
import type { ApiObject } from '../object.js';
import type { PodLogs } from '../subresources/pod-logs.js';
import type { UpgradeRequest } from './upgrade-request.js';

/** Clients have nothing to say to a log. */
const messageMaxBytes = 64 * 1024;
/** The bytes as they are, and as text; without a protocol they are sent as they are. */
const protocols = ['binary.k8s.io', 'base64.binary.k8s.io'];

/** Serves pods/log over WebSockets: messages from the server only, an empty one first. */
export class LogSockets {
  readonly #logs: PodLogs;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: messageMaxBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => protocols.find((each) => offered.has(each)) ?? false,
  });

  constructor(logs: PodLogs) {
    this.#logs = logs;
  }

  /** Sends the log to its end. Throws before the upgrade when there is none to send. */
  async serve(upgrade: UpgradeRequest, pod: ApiObject): Promise<void> {
    const { request, socket, head, url, protocol, signal } = upgrade;
    if (protocol !== 'websocket')
      throw apiError.badRequest(`unable to upgrade to ${JSON.stringify(protocol)}`);
    const log = await this.#logs.open(url.searchParams, pod, signal);
    if (socket.destroyed) return;
    const client = await new Promise<WebSocket>((resolve) => {
      this.#sockets.handleUpgrade(request, socket, head, resolve);
    });
    client.on('error', () => client.terminate());
    const asText = client.protocol === 'base64.binary.k8s.io';
    const send = (bytes: Buffer): Promise<void> =>
      new Promise((resolve, reject) => {
        const sent = (error?: Error | null): void => (error ? reject(error) : resolve());
        client.send(asText ? bytes.toString('base64') : bytes, sent);
      });
    try {
      await send(Buffer.alloc(0));
      for await (const chunk of log) await send(chunk as Buffer);
      client.close(1000);
    } catch {
      client.terminate(); // the client is gone, or the log broke off
    } finally {
      log.destroy();
    }
  }
}
