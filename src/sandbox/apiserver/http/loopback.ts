import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import type { ClusterConnection } from '#base/kube/connection.js';

/** Who is at the other end of a loopback connection. */
export interface LoopbackUser {
  readonly name: string;
  readonly groups: readonly string[];
}

/**
 * One end of a connection inside this process. What is written at one end is read at
 * the other in a later turn of the event loop, so that neither runs inside the other.
 */
export class LoopbackSocket extends Duplex {
  /** Set at the server's end. */
  readonly user: LoopbackUser | undefined;
  #peer: LoopbackSocket | undefined;
  #waiting: (() => void) | undefined;

  private constructor(user: LoopbackUser | undefined) {
    super({ allowHalfOpen: true });
    this.user = user;
  }

  /** Makes both ends of a connection of a user. */
  static pair(user: LoopbackUser): { client: LoopbackSocket; server: LoopbackSocket } {
    const client = new LoopbackSocket(undefined);
    const server = new LoopbackSocket(user);
    client.#peer = server;
    server.#peer = client;
    return { client, server };
  }

  override _read(): void {
    const resume = this.#waiting;
    this.#waiting = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#deliver(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#deliver(Buffer.concat(chunks.map((c) => c.chunk)), callback);
  }

  override _final(callback: () => void): void {
    setImmediate(() => {
      const peer = this.#peer;
      if (peer?.destroyed === false) peer.push(null);
      callback();
    });
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const peer = this.#peer;
    this.#peer = undefined;
    this.#waiting = undefined;
    setImmediate(() => peer?.destroy());
    callback(error);
  }

  #deliver(chunk: Buffer, callback: () => void): void {
    setImmediate(() => {
      const peer = this.#peer;
      // A reader that left takes the rest with it; its end tells the writer.
      if (peer === undefined || peer.destroyed || peer.push(chunk)) callback();
      else peer.#waiting = callback;
    });
  }

  // What HTTP asks of a socket, and which means nothing without a network.

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    this.end();
    this.once('finish', () => this.destroy());
  }
}

/** Serves HTTP to other parts of this process, without a network, encryption or certificates. */
export class LoopbackListener {
  readonly #server: Server;
  readonly #agents = new Set<Agent>();

  constructor(handle: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#server = createServer(handle);
    this.#server.requestTimeout = 0;
    this.#server.headersTimeout = 0;
    this.#server.keepAliveTimeout = 0;
  }

  /** A connection for `KubeClient`, as a user whom the caller vouches for. */
  connect(user: LoopbackUser): ClusterConnection {
    const server = this.#server;
    const agent = new Agent({ keepAlive: true, scheduling: 'lifo' });
    this.#agents.add(agent);
    agent.createConnection = () => {
      const ends = LoopbackSocket.pair(user);
      server.emit('connection', ends.server);
      return ends.client;
    };
    return {
      server: 'http://kubernetes.default.svc',
      requestOptions: () => Promise.resolve({ agent }),
      toKubeConfig: () => Promise.reject(new Error('a connection inside the process has no kubeconfig')),
    };
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
