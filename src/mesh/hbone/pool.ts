import { HboneConnection, type DialOptions } from './client-connection.js';
import { HboneError } from './hbone-error.js';
import type { ConnectOptions, HboneStream } from './stream.js';

export interface HbonePoolOptions {
  /** Network namespace to dial from. */
  readonly netns?: number | undefined;
  /** SO_MARK of the sockets. */
  readonly mark?: number | undefined;
  /** Streams on one connection before another is opened. Default 100. */
  readonly streamsMax?: number;
  /** An unused connection is closed after this long. Default five minutes. */
  readonly unusedReleaseMs?: number;
  /** TCP connect timeout. Default 10 s. */
  readonly connectTimeoutMs?: number;
}

interface Group {
  connections: HboneConnection[];
  /** The one handshake under way; everybody who asks meanwhile waits for it. */
  connecting: Promise<HboneConnection> | undefined;
}

const streamsMaxDefault = 100;
const unusedReleaseDefaultMs = 300_000;
/** A request the peer provably did not process (GOAWAY, REFUSED_STREAM) goes to another connection this often. */
const unprocessedRetriesMax = 2;

/**
 * HBONE connections to other proxies, shared by requests with the same source identity, expected identities, next
 * hop and source address. One pool per proxied workload.
 */
export class HbonePool {
  readonly #groups = new Map<string, Group>();
  readonly #options: Required<Omit<HbonePoolOptions, 'netns' | 'mark' | 'connectTimeoutMs'>> &
    HbonePoolOptions;
  #isClosed = false;

  constructor(options: HbonePoolOptions = {}) {
    this.#options = { streamsMax: streamsMaxDefault, unusedReleaseMs: unusedReleaseDefaultMs, ...options };
  }

  /** Open connections. */
  get connectionCount(): number {
    let count = 0;
    for (const group of this.#groups.values()) count += group.connections.length;
    return count;
  }

  /** Opens a stream, on a pooled connection when there is one. Rejects with {@link HboneError}. */
  async connect(options: ConnectOptions): Promise<HboneStream> {
    for (let attempt = 0; ; attempt++) {
      options.signal?.throwIfAborted();
      const connection = await this.#checkout(options);
      try {
        return await connection.open(options);
      } catch (error) {
        const isUnprocessed = error instanceof HboneError && connection.refusedUnprocessed(error);
        if (!isUnprocessed || attempt >= unprocessedRetriesMax || options.signal?.aborted === true)
          throw error;
      }
    }
  }

  /** No new streams; connections close when their last stream ends. */
  drain(): void {
    this.#isClosed = true;
    for (const group of this.#groups.values()) {
      for (const connection of group.connections) connection.retire();
    }
  }

  /** Ends every connection now. */
  close(): void {
    this.#isClosed = true;
    for (const group of this.#groups.values()) {
      for (const connection of group.connections) connection.destroy();
    }
    this.#groups.clear();
  }

  /** A connection with a stream reserved on it. */
  async #checkout(options: ConnectOptions): Promise<HboneConnection> {
    const key = keyOf(options);
    for (;;) {
      if (this.#isClosed) throw new HboneError('the connection pool is closed', { flag: 'CONNECT' });
      let group = this.#groups.get(key);
      if (group === undefined) {
        group = { connections: [], connecting: undefined };
        this.#groups.set(key, group);
      }
      const usable = group.connections.find((c) => c.tryReserve(this.#options.streamsMax));
      if (usable !== undefined) return usable;
      group.connecting ??= this.#dial({ key, group, options });
      const fresh = await group.connecting;
      if (fresh.tryReserve(this.#options.streamsMax)) return fresh;
      // Full is fine, others were quicker; closed already means that the peer does not want us.
      if (fresh.isBroken) {
        throw new HboneError('the peer closed the connection right after the handshake', {
          flag: 'TLS_FAILURE',
        });
      }
    }
  }

  async #dial(target: { key: string; group: Group; options: ConnectOptions }): Promise<HboneConnection> {
    const { key, group, options } = target;
    const dial: DialOptions = {
      destination: options.destination,
      credentials: options.credentials,
      expectedIdentities: options.expectedIdentities,
      netns: this.#options.netns,
      mark: this.#options.mark,
      connectTimeoutMs: this.#options.connectTimeoutMs,
      unusedReleaseMs: this.#options.unusedReleaseMs,
    };
    try {
      const connection = await HboneConnection.dial(dial);
      if (this.#isClosed) {
        connection.destroy();
        throw new HboneError('the connection pool is closed', { flag: 'CONNECT' });
      }
      group.connections.push(connection);
      connection.onClosed(() => {
        group.connections = group.connections.filter((c) => c !== connection);
        this.#forgetIfEmpty(key, group);
      });
      return connection;
    } catch (error) {
      queueMicrotask(() => this.#forgetIfEmpty(key, group));
      throw error;
    } finally {
      group.connecting = undefined;
    }
  }

  #forgetIfEmpty(key: string, group: Group): void {
    const isEmpty = group.connections.length === 0 && group.connecting === undefined;
    if (isEmpty && this.#groups.get(key) === group) this.#groups.delete(key);
  }
}

function keyOf(o: ConnectOptions): string {
  return [
    o.credentials.identity,
    o.expectedIdentities.join(','),
    o.destination.host,
    o.destination.port,
    o.sourceIp ?? '',
  ].join('|');
}
