import { Http1Connection } from '../../l7/codec/http1-connection.js';
import { Http2Connection } from '../../l7/codec/http2-connection.js';
import type { Dialer, DialPurpose } from './dialer.js';
import type { Endpoint } from './endpoint.js';

/** Idle connections kept to one endpoint. */
const idlePerEndpointMax = 64;
/** An idle connection is closed after this, so that it does not outlive its pod's address by much. */
const idleMs = 60_000;

interface Group {
  readonly idleHttp1: { readonly connection: Http1Connection; readonly cancel: () => void }[];
  readonly http1: Set<Http1Connection>;
  readonly http2: Set<Http2Connection>;
}

/** HTTP connections to endpoints, kept for the next request. */
export class ConnectionPool {
  readonly #dialer: Dialer;

  /** By endpoint and how it is reached: a pod that joined the mesh is not spoken to in plain text any longer. */
  readonly #groups = new Map<string, Group>();
  /** The one HTTP/2 connection being opened to each endpoint. */
  readonly #opening = new Map<
    string,
    { readonly connection: Promise<Http2Connection>; readonly signal: AbortSignal }
  >();
  #isDraining = false;

  constructor(dialer: Dialer) {
    this.#dialer = dialer;
  }

  /** An HTTP/1.1 connection for one request: the most recently used idle one, or a new one. */
  async http1(
    endpoint: Endpoint,
    purpose: DialPurpose,
    options = { isFresh: false },
  ): Promise<Http1Connection> {
    const key = groupKey(endpoint);
    if (!options.isFresh) {
      const idle = this.#groups.get(key)?.idleHttp1;
      for (let last = idle?.pop(); last !== undefined; last = idle?.pop()) {
        last.cancel();
        if (last.connection.isOpen) return last.connection;
      }
    }
    const stream = await this.#dialer.dial(endpoint, purpose);
    const group = this.#group(key);
    const connection = new Http1Connection(stream, (idle) => this.#park(group, idle));
    group.http1.add(connection);
    connection.onClosed(() => {
      group.http1.delete(connection);
      const at = group.idleHttp1.findIndex((idle) => idle.connection === connection);
      if (at >= 0) group.idleHttp1.splice(at, 1)[0]?.cancel();
      this.#forgetIfEmpty(key, group);
    });
    return connection;
  }

  /** An HTTP/2 connection with room for one more request. Requests that come while one is opened share it. */
  async http2(endpoint: Endpoint, purpose: DialPurpose): Promise<Http2Connection> {
    const key = groupKey(endpoint);
    for (;;) {
      for (const open of this.#groups.get(key)?.http2 ?? []) {
        if (open.hasRoom) return open;
      }
      const underWay = this.#opening.get(key);
      if (underWay === undefined) return this.#openHttp2(key, endpoint, purpose);
      try {
        await underWay.connection;
      } catch (error) {
        // Only the request that opened it gave up; this one did not.
        if (!underWay.signal.aborted) throw error;
      }
      purpose.signal.throwIfAborted();
    }
  }

  /** Closes what is idle; what is busy closes when it becomes idle. */
  drain(): void {
    this.#isDraining = true;
    for (const { idleHttp1, http2 } of this.#groups.values()) {
      // A copy: destroying takes the connection out of the list.
      for (const { connection } of Array.from(idleHttp1)) connection.destroy();
      for (const connection of http2) connection.retire();
    }
  }

  /** Ends every connection now. */
  close(): void {
    this.#isDraining = true;
    for (const { http1, http2 } of this.#groups.values()) {
      for (const connection of http1) connection.destroy();
      for (const connection of http2) connection.destroy();
    }
  }

  async #openHttp2(key: string, endpoint: Endpoint, purpose: DialPurpose): Promise<Http2Connection> {
    const connection = this.#dialHttp2(key, endpoint, purpose);
    this.#opening.set(key, { connection, signal: purpose.signal });
    try {
      return await connection;
    } finally {
      this.#opening.delete(key);
    }
  }

  async #dialHttp2(key: string, endpoint: Endpoint, purpose: DialPurpose): Promise<Http2Connection> {
    const stream = await this.#dialer.dial(endpoint, purpose);
    const group = this.#group(key);
    const connection = new Http2Connection(stream);
    group.http2.add(connection);
    connection.onClosed(() => {
      group.http2.delete(connection);
      this.#forgetIfEmpty(key, group);
    });
    return connection;
  }

  #park(group: Group, connection: Http1Connection): void {
    if (this.#isDraining || group.idleHttp1.length >= idlePerEndpointMax) {
      connection.destroy();
      return;
    }
    const limitMs = Math.min(idleMs, connection.announcedIdleMs ?? idleMs);
    const timer = setTimeout(() => connection.destroy(), limitMs);
    timer.unref();
    group.idleHttp1.push({ connection, cancel: () => clearTimeout(timer) });
  }

  #group(key: string): Group {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { idleHttp1: [], http1: new Set(), http2: new Set() };
      this.#groups.set(key, group);
    }
    return group;
  }

  #forgetIfEmpty(key: string, group: Group): void {
    if (group.http1.size === 0 && group.http2.size === 0 && this.#groups.get(key) === group)
      this.#groups.delete(key);
  }
}

function groupKey({ ip, port, workload }: Endpoint): string {
  return `${ip}|${port}|${workload?.protocol === 'HBONE' ? workload.identity : ''}`;
}
