import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Listener } from '../../base/api-server.js';

const listenBacklog = 1024;

/** Accepts connections at a listener and passes their bytes on to an address. */
export class TcpForward {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(to: { readonly host: string; readonly port: number }) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const far = connect({ ...to, allowHalfOpen: true, noDelay: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          // Half-closed is fine, gone is not: the other side has nobody to talk to.
          if (!socket.readableEnded) other.destroy();
        });
      }
    });
  }

  /** Starts forwarding. */
  static async listen(listener: Listener, to: { host: string; port: number }): Promise<TcpForward> {
    const forward = new TcpForward(to);
    const server = forward.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const where =
        listener.kind === 'fd' ? { fd: listener.fd } : { host: listener.host, port: listener.port };
      server.listen({ ...where, backlog: listenBacklog }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return forward;
  }

  /** The port it accepts connections at. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops accepting and cuts what is open. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
