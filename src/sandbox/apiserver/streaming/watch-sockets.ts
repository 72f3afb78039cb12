import { WebSocketServer } from 'ws';
import { apiError } from '../api-error.js';
import type { Router } from '../serve/router.js';
import type { ServedResource } from '../registry/resource.js';
import type { UpgradeRequest } from './upgrade-request.js';

/** Clients have nothing to say on a watch. */
const messageMaxBytes = 64 * 1024;
const pingIntervalMs = 30_000;

/** Serves watches over WebSockets: a message for each event, text for JSON and binary for protobuf. */
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
  async serve(upgrade: UpgradeRequest, resource: ServedResource): Promise<void> {
    const { request, socket, head, url, path, protocol, signal } = upgrade;
    if (protocol !== 'websocket')
      throw apiError.badRequest(`unable to upgrade to ${JSON.stringify(protocol)}`);
    const watch = this.#router.reads.eventsOf({ url, request }, path, resource);
    const isText = watch.contentType === 'application/json';
    // Messages have their ends without the mark that a stream needs: a line's end, or a length of four bytes.
    const messageOf = (frame: Buffer) => (isText ? frame.toString('utf8').trimEnd() : frame.subarray(4));
    await new Promise<void>((resolve, reject) => {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => webSocket.terminate());
        const ping = setInterval(() => webSocket.ping(), pingIntervalMs);
        let sent = Promise.resolve();
        const sink = {
          write: (frame: Buffer): boolean => {
            sent = new Promise((done) => {
              webSocket.send(messageOf(frame), () => done());
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
