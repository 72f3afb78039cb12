import { Agent, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { connectTcp } from '#base/system/socket.js';

type Callback = (error: Error | null, stream: Duplex) => void;

/**
 * How a node's agents reach the API server: from the node's own network namespace, over its own cable. What
 * cuts the node off cuts them off as well. Open -> closed.
 */
export class NodeUplink extends Agent {
  readonly #netns: number;
  readonly #open = new Set<TLSSocket>();
  #isClosed = false;

  constructor(netns: number) {
    super({ keepAlive: true, maxSockets: 64, scheduling: 'lifo' });
    this.#netns = netns;
  }

  /** Drops every connection: on a cable that was cut they would wait for minutes after it is back. */
  reset(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /** No connection is made any more; the namespace may be closed. */
  close(): void {
    this.#isClosed = true;
    this.reset();
    this.destroy();
  }

  override createConnection(options: RequestOptions, callback?: Callback): undefined {
    this.#dial(options).then(
      (socket) => callback?.(null, socket),
      // Node's signature wants a stream beside the error; nobody looks at it.
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
  }

  async #dial(options: RequestOptions): Promise<TLSSocket> {
    if (this.#isClosed) throw new Error('the node is powered off');
    const raw = await connectTcp({
      netns: this.#netns,
      host: options.host ?? '',
      port: Number(options.port),
    });
    if (this.#isClosed) {
      raw.destroy();
      throw new Error('the node is powered off');
    }
    // Node hands the TLS options of the request through.
    const secure = connect({ ...(options as ConnectionOptions), socket: raw });
    this.#open.add(secure);
    secure.once('close', () => this.#open.delete(secure));
    return secure;
  }
}
