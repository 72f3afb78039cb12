import { closeSync } from 'node:fs';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { SeqpacketConnection } from '../../system/seqpacket.js';
import { checkHello, decodeAck } from './messages.js';

/** Bounds of one exchange with a node proxy, in milliseconds (istio/istio cni/pkg/nodeagent/ztunnelserver.go). */
export interface ZdsTimeouts {
  readonly sendMs: number;
  readonly ackMs: number;
  readonly helloMs: number;
}

export const defaultZdsTimeouts: ZdsTimeouts = { sendMs: 5_000, ackMs: 5_000, helloMs: 5_000 };

interface Waiter {
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One connected node proxy. Requests go out one at a time and each waits for its
 * acknowledgement. The connection ends on EOF, on a message nobody asked for, on a
 * descriptor from the proxy and on a timeout, after which answers could not be matched.
 */
export class ZdsConnection {
  readonly #socket: SeqpacketConnection;
  readonly #timeouts: ZdsTimeouts;
  #waiter: Waiter | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closedBy: Error | undefined;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<Error>;
  readonly #reportClosed: (reason: Error) => void;

  constructor(socket: SeqpacketConnection, timeouts: ZdsTimeouts) {
    this.#socket = socket;
    this.#timeouts = timeouts;
    let report: (reason: Error) => void = () => undefined;
    this.closed = new Promise((resolve) => {
      report = resolve;
    });
    this.#reportClosed = report;
  }

  /** Waits for the proxy's hello and starts reading. Rejects (and closes) when it does not come or is wrong. */
  async hello(): Promise<void> {
    const first = this.#expect(this.#timeouts.helloMs, 'hello');
    void this.#read();
    try {
      checkHello(await first);
    } catch (error) {
      this.close(asError(error));
      throw error;
    }
  }

  /**
   * Sends one message after those before it and waits for its acknowledgement.
   * Rejects with MESH0706: the proxy's error text, a timeout, or the end of the connection.
   */
  request(data: Uint8Array, fd?: number): Promise<void> {
    const result = this.#last.then(() => this.#exchange(data, fd));
    this.#last = result.catch(() => undefined);
    return result;
  }

  get isClosed(): boolean {
    return this.#closedBy !== undefined;
  }

  /** Ends the connection; waiting requests reject. */
  close(reason: Error = new Error('closed by the agent')): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = reason;
    this.#waiter?.reject(reason);
    this.#waiter = undefined;
    this.#socket.close();
    this.#reportClosed(reason);
  }

  async #exchange(data: Uint8Array, fd: number | undefined): Promise<void> {
    if (this.#closedBy !== undefined) throw notAccepted('the connection has ended', this.#closedBy);
    let error: string;
    try {
      const answer = this.#expect(this.#timeouts.ackMs + this.#timeouts.sendMs, 'acknowledgement');
      await Promise.all([withDeadline(this.#socket.send(data, fd), this.#timeouts.sendMs, 'send'), answer]);
      error = decodeAck(await answer);
    } catch (cause) {
      this.close(asError(cause));
      throw notAccepted(messageOf(cause), cause);
    }
    if (error !== '') throw notAccepted(error, undefined);
  }

  #expect(timeoutMs: number, what: string): Promise<Buffer> {
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
    return withDeadline(answer, timeoutMs, what);
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const message = await this.#socket.receive();
        if (message === undefined) throw new Error('the node proxy closed the connection');
        for (const fd of message.fds) closeSync(fd);
        if (message.fds.length > 0) throw new Error('the node proxy sent a descriptor');
        const waiter = this.#waiter;
        if (waiter === undefined) throw new Error('the node proxy sent a message nobody asked for');
        this.#waiter = undefined;
        waiter.resolve(message.data);
      }
    } catch (error) {
      this.close(asError(error));
    }
  }
}

async function withDeadline<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function notAccepted(reason: string, cause: unknown): MeshError {
  return new MeshError('MESH0706', `ztunnel did not accept the request: ${reason}`, { cause });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
