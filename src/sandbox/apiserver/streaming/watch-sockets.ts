import { WebSocketServer } from 'ws';
import { apiError } from '../http/api-error.js';
import type { Router } from '../http/router.js';
import type { Resource } from '../registry/resource.js';
import type { UpgradeRequest } from './upgrades.js';

/** Clients have nothing to say on a watch. */
const messageMaxBytes = 64 * 1024;
const pingIntervalMs = 30_000;

/** Serves watches over WebSockets: one text message for each event. */
export class WatchSockets {
  readonly #router: Router;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: messageMaxBytes,
    perMessageDeflate: false,
    // Browsers put their credentials into a protocol; none of the offered ones is spoken.
    handleProtocols: (offered) => [...offered].find((p) => !p.startsWith('base64url.bearer.')) ?? false,
  });

  constructor(router: Router) {
    this.#router = router;
  }

  /** Runs the watch to its end. Throws before the upgrade for bad options. */
  async serve(upgrade: UpgradeRequest, resource: Resource): Promise<void> {
    const { request, socket, head, url, path, protocol, signal } = upgrade;
    if (protocol !== 'websocket')
      throw apiError.badRequest(`unable to upgrade to ${JSON.stringify(protocol)}`);
    const watch = this.#router.reads.eventsOf({ url, request }, path, resource);
    await new Promise<void>((resolve, reject) => {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => webSocket.terminate());
        const ping = setInterval(() => webSocket.ping(), pingIntervalMs);
        let sent = Promise.resolve();
        const sink = {
          write: (frame: Buffer): boolean => {
            sent = new Promise((done) => {
              webSocket.send(frame.toString('utf8').trimEnd(), () => done());
            });
            return webSocket.bufferedAmount === 0;
          },
          drained: () => sent,
        };
        watch
          .run(sink, signal)
          .then(() => webSocket.close(1000))
          .finally(() => clearInterval(ping))
          .then(resolve, reject);
      });
    });
  }
}
