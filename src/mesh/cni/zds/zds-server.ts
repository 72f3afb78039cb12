import { setTimeout as delay } from 'node:timers/promises';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { listenSeqpacket, type SeqpacketConnection, type SeqpacketServer } from '../../system/seqpacket.js';
import type { Logger } from '#base/telemetry/log.js';
import type { NetnsHandle } from '../netns-handle.js';
import { encodeAdd, encodeDel, encodeKeep, encodeSnapshotSent, type ZdsWorkload } from './messages.js';
import { defaultZdsTimeouts, ZdsConnection, type ZdsTimeouts } from './zds-connection.js';

/** A pod of the snapshot; without `netns` it is announced with `keep`. */
export interface SnapshotEntry {
  readonly workload: ZdsWorkload;
  readonly netns: NetnsHandle | undefined;
}

export interface ZdsServerDeps {
  /** Path of the seqpacket socket. */
  readonly path: string;
  /** The enrolled pods of the node at the moment of the call. */
  readonly snapshot: () => readonly SnapshotEntry[];
  /** Resolves when the snapshot is complete; connections wait for it. */
  readonly ready: Promise<void>;
  readonly log: Logger;
  readonly timeouts?: ZdsTimeouts;
  /** Called with the number of proxies that hold the snapshot, whenever it changes. */
  readonly onConnections?: (count: number) => void;
}

/** New connections taken per second; more wait. */
const acceptsPerSecond = 5;
/** Connections held at once; a rolling update has two. */
const connectionsMax = 8;

/** The agent's side of ZDS: tells every connected node proxy which pods it serves. */
export class ZdsServer {
  readonly #deps: ZdsServerDeps;
  /** In order of arrival; the last one is the newest. */
  readonly #connections: ZdsConnection[] = [];
  /** Connections whose snapshot is acknowledged. */
  readonly #synced = new Set<ZdsConnection>();
  #server: SeqpacketServer | undefined;
  #lastAcceptAt = 0;
  #waitingCount = 0;

  constructor(deps: ZdsServerDeps) {
    this.#deps = deps;
  }

  /** Binds the socket; a stale one is replaced. Throws the system's error. */
  listen(): void {
    this.#server = listenSeqpacket(this.#deps.path, (socket) => void this.#accept(socket));
  }

  /** Proxies that have the whole snapshot. */
  get connectionCount(): number {
    return this.#synced.size;
  }

  /**
   * Announces a pod to the newest proxy and waits until it listens there. Rejects
   * with MESH0705 when none is connected, MESH0706 when it refuses.
   */
  async add(workload: ZdsWorkload, netns: NetnsHandle): Promise<void> {
    const newest = this.#connections.at(-1);
    if (newest === undefined) {
      throw new MeshError('MESH0705', 'no ztunnel is connected to the CNI agent of this node');
    }
    netns.retain();
    try {
      await newest.request(encodeAdd(workload), netns.fd);
    } finally {
      netns.release();
    }
  }

  /** Tells every proxy that a pod left. Failures are logged: a proxy that is gone serves nobody. */
  async del(uid: string): Promise<void> {
    const message = encodeDel(uid);
    const tell = async (connection: ZdsConnection): Promise<void> => {
      try {
        await connection.request(message);
      } catch (error) {
        this.#deps.log.warn('ztunnel did not acknowledge a removal', { uid, error: messageOf(error) });
      }
    };
    await Promise.all(this.#connections.map(tell));
  }

  /** Ends all connections and removes the socket. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const connection of this.#connections) connection.close();
  }

  async #accept(socket: SeqpacketConnection): Promise<void> {
    if (this.#connections.length + this.#waitingCount >= connectionsMax) {
      this.#deps.log.warn('too many ztunnel connections, one is refused', { max: connectionsMax });
      socket.close();
      return;
    }
    this.#waitingCount++;
    try {
      await this.#pace();
      await this.#deps.ready;
    } finally {
      this.#waitingCount--;
    }
    if (this.#server === undefined) {
      socket.close();
      return;
    }
    const connection = new ZdsConnection(socket, this.#deps.timeouts ?? defaultZdsTimeouts);
    try {
      await connection.hello();
    } catch (error) {
      this.#deps.log.warn('a ztunnel connection began badly', { error: messageOf(error) });
      return;
    }
    // From here on live changes queue up behind the snapshot, so none is lost between the two.
    this.#connections.push(connection);
    void connection.closed.then((reason) => this.#forget(connection, reason));
    await this.#sendSnapshot(connection);
  }

  async #sendSnapshot(connection: ZdsConnection): Promise<void> {
    const entries = this.#deps
      .snapshot()
      .map(({ workload, netns }) => ({ workload, netns: netns?.retain() }));
    // All requests are queued before the first await: a live change goes after the whole snapshot.
    const sent = entries.map(async ({ workload, netns }) => {
      try {
        if (netns === undefined) await connection.request(encodeKeep(workload.uid));
        else await connection.request(encodeAdd(workload), netns.fd);
      } catch (error) {
        // The proxy keeps retrying such a pod by itself and is not ready until it succeeds.
        this.#deps.log.warn('ztunnel refused a pod of the snapshot', {
          pod: `${workload.namespace}/${workload.name}`,
          error: messageOf(error),
        });
      } finally {
        netns?.release();
      }
    });
    const done = connection.request(encodeSnapshotSent());
    await Promise.all(sent);
    try {
      await done;
    } catch (error) {
      this.#deps.log.warn('ztunnel did not acknowledge the snapshot', { error: messageOf(error) });
      return;
    }
    if (connection.isClosed) return;
    this.#synced.add(connection);
    this.#deps.onConnections?.(this.#synced.size);
    this.#deps.log.info('ztunnel connected', { pods: entries.length });
  }

  #forget(connection: ZdsConnection, reason: Error): void {
    const at = this.#connections.indexOf(connection);
    if (at >= 0) this.#connections.splice(at, 1);
    if (this.#synced.delete(connection)) this.#deps.onConnections?.(this.#synced.size);
    this.#deps.log.info('ztunnel disconnected', { reason: reason.message });
  }

  async #pace(): Promise<void> {
    const now = performance.now();
    const at = Math.max(now, this.#lastAcceptAt + 1_000 / acceptsPerSecond);
    this.#lastAcceptAt = at;
    if (at > now) await delay(at - now);
  }
}
