import { closeSync } from 'node:fs';
import type { Counter, Gauge } from 'prom-client';
import { messageOf } from '#base/errors/mesh-error.js';
import { netnsInode } from '#base/system/netns.js';
import { createLogger } from '#base/telemetry/log.js';
import type { DrainPart } from '../../process/drain.js';
import type { WorkloadInfo, WorkloadProxy } from '../proxy/workload-proxy.js';

/** A workload as the state dump shows it. */
export type WorkloadEntryView =
  | { readonly uid: string; readonly state: 'Up'; readonly info: WorkloadInfo; readonly proxy: WorkloadProxy }
  | { readonly uid: string; readonly state: 'Pending'; readonly info: WorkloadInfo };

export interface WorkloadManagerOptions {
  /** Makes, but does not start, the proxy of a pod; the proxy owns the namespace fd. */
  readonly makeProxy: (info: WorkloadInfo, netns: number) => WorkloadProxy;
  readonly metrics: {
    readonly active: Gauge;
    readonly pending: Gauge;
    readonly started: Counter;
    readonly stopped: Counter;
  };
  /** Called when readiness may have changed. */
  readonly onChange?: () => void;
}

interface Entry {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly inode: bigint;
  readonly proxy: WorkloadProxy;
  /** False while pending: the listeners could not be bound yet. */
  isUp: boolean;
  retry: NodeJS.Timeout | undefined;
}

const retryMs = 5_000;
const log = createLogger('workload');

/**
 * The enrolled pods of this node. A pod is Pending until its listeners are bound, then Up. The CNI agent's messages
 * are the only way in and out.
 */
export class WorkloadManager implements DrainPart {
  readonly #options: WorkloadManagerOptions;

  readonly #entries = new Map<string, Entry>();
  /** Names seen since the connection to the agent opened; undefined once its snapshot is complete. */
  #snapshot: Set<string> | undefined;
  #hasSnapshot = false;
  #isStopped = false;

  constructor(options: WorkloadManagerOptions) {
    this.#options = options;
  }

  /** The agent's snapshot was received on the present connection and every pod is up. */
  get isReady(): boolean {
    return this.#hasSnapshot && [...this.#entries.values()].every((entry) => entry.isUp);
  }

  /** A connection to the agent opened: a new snapshot follows. */
  beginSnapshot(): void {
    this.#snapshot = new Set();
    this.#hasSnapshot = false;
    this.#changed();
  }

  /** The connection to the agent is gone; what runs keeps running. */
  disconnected(): void {
    this.#snapshot = undefined;
    this.#hasSnapshot = false;
    this.#changed();
  }

  /** Enrolls a pod; resolves when its listeners are bound. Rejects when they cannot be, and retries on its own. */
  async add(uid: string, info: WorkloadInfo, netns: number): Promise<void> {
    this.#snapshot?.add(uid);
    const inode = netnsInode(netns);
    const known = this.#entries.get(uid);
    if (known !== undefined) {
      if (known.inode === inode && known.isUp) {
        closeSync(netns);
        return;
      }
      log.info('pod moved to another network namespace or was pending, starting over', { uid });
      this.#drop(known);
    }
    const proxy = this.#options.makeProxy(info, netns);
    const entry: Entry = { uid, info, inode, proxy, isUp: false, retry: undefined };
    this.#entries.set(uid, entry);
    await this.#start(entry);
  }

  /**
   * A pod the agent knows but cannot name the namespace of: what runs keeps running. Returns false outside of a
   * snapshot, where it has no meaning.
   */
  keep(uid: string): boolean {
    if (this.#snapshot === undefined) return false;
    this.#snapshot.add(uid);
    return true;
  }

  /** Removes a pod; its processes are gone already, so nothing is drained. */
  remove(uid: string): void {
    this.#snapshot?.delete(uid);
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    log.info('pod removed', { uid, ...labels(entry.info) });
    this.#drop(entry);
    this.#changed();
  }

  /** The snapshot is complete: pods it did not name are gone. Returns false when it was complete before. */
  endSnapshot(): boolean {
    const named = this.#snapshot;
    if (named === undefined) return false;
    this.#snapshot = undefined;
    for (const entry of this.#entries.values()) {
      if (named.has(entry.uid)) continue;
      log.info('pod is not in the snapshot, stopping', { uid: entry.uid, ...labels(entry.info) });
      this.#drop(entry);
    }
    this.#hasSnapshot = true;
    this.#changed();
    return true;
  }

  views(): WorkloadEntryView[] {
    return [...this.#entries.values()].map(({ uid, info, proxy, isUp }) =>
      isUp ? { uid, state: 'Up', info, proxy } : { uid, state: 'Pending', info },
    );
  }

  /** Proxies that are up. */
  proxies(): WorkloadProxy[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.isUp ? [entry.proxy] : []));
  }

  /** No new connections to or from any pod. */
  close(): void {
    this.#isStopped = true;
    for (const { proxy, retry } of this.#entries.values()) {
      clearTimeout(retry);
      proxy.close();
    }
  }

  /** Resolves when no pod has a connection. */
  async idle(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ proxy }) => proxy.connections.idle()));
  }

  /** Ends every proxy now. */
  stop(): void {
    this.close();
    for (const { proxy } of this.#entries.values()) proxy.stop();
    this.#entries.clear();
  }

  async #start(entry: Entry): Promise<void> {
    try {
      await entry.proxy.listen();
    } catch (error) {
      this.#changed();
      log.error('pod listeners could not be bound, trying again', {
        uid: entry.uid,
        ...labels(entry.info),
        error: messageOf(error),
      });
      if (this.#entries.get(entry.uid) === entry && !this.#isStopped) {
        entry.retry = setTimeout(() => void this.#start(entry).catch(() => undefined), retryMs);
        entry.retry.unref();
      }
      throw error;
    }
    // Removed while binding: the pod is gone.
    if (this.#entries.get(entry.uid) !== entry || this.#isStopped) {
      entry.proxy.stop();
      return;
    }
    entry.isUp = true;
    this.#options.metrics.started.inc();
    log.info('pod enrolled', { uid: entry.uid, ...labels(entry.info) });
    this.#changed();
  }

  #drop(entry: Entry): void {
    clearTimeout(entry.retry);
    this.#entries.delete(entry.uid);
    entry.proxy.stop();
    if (entry.isUp) this.#options.metrics.stopped.inc();
  }

  #changed(): void {
    const up = this.proxies().length;
    this.#options.metrics.active.set(up);
    this.#options.metrics.pending.set(this.#entries.size - up);
    this.#options.onChange?.();
  }
}

function labels(info: WorkloadInfo): Record<string, string> {
  return { pod: `${info.namespace}/${info.name}`, serviceAccount: info.serviceAccount };
}
