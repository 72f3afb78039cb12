import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { discoverResources, type DiscoveredResource, type ServedResources } from '../../base/discovery.js';
import { customResourceDefinitions, type Resource } from '#base/kube/resource.js';
import type { ObjectMeta } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import { type MetadataChange, ResourceMonitors } from './resource-monitors.js';

/** Discovery is asked again this often. */
const rediscoverMs = 30_000;
/** After a CRD changed, discovery is asked at once and, since it lags behind, again. */
const rediscoverAfterMs = [50, 500, 2_000] as const;
const discoveryRetryMs = 250;
/** Kinds that cannot be listed must not hold up the others for ever. */
const syncTimeoutMs = 10_000;

/** Follows the metadata of every object of every kind there is, also of kinds that come and go. */
export class MetadataWatches {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #log = createLogger('cluster::metadata');
  readonly #monitors: ResourceMonitors;
  readonly #listeners = new Set<(change: MetadataChange) => void>();
  readonly #onServed = new Set<() => void>();
  #served: ServedResources = { all: [], preferred: [], unknown: [] };
  #watched: readonly DiscoveredResource[] = [];
  #isDiscovering = false;
  #synced: Promise<void> | undefined;

  /** The client needs a connection for each kind there is; `keep` says what is kept of an object's metadata. */
  constructor(o: { client: KubeClient; signal: AbortSignal; keep: (metadata: ObjectMeta) => ObjectMeta }) {
    this.#client = o.client;
    this.#signal = o.signal;
    this.#monitors = new ResourceMonitors({
      client: o.client,
      signal: o.signal,
      keep: o.keep,
      onChange: (change) => this.#take(change),
      onError: (message) => this.#log.warn('watch interrupted', { message }),
    });
  }

  /** What the server served when it was last asked, and what a server that does not answer used to serve. */
  get served(): ServedResources {
    return this.#served;
  }

  /** The kinds watched whose server answered when it was last asked what it serves. */
  get answering(): readonly DiscoveredResource[] {
    const { unknown } = this.#served;
    return this.#watched.filter(
      (r) => !unknown.includes(r.group === '' ? r.version : `${r.group}/${r.version}`),
    );
  }

  /** Calls `listener` for every change of an object. */
  onChange(listener: (change: MetadataChange) => void): void {
    this.#listeners.add(listener);
  }

  /** Calls `listener` each time discovery was asked. */
  onServed(listener: () => void): void {
    this.#onServed.add(listener);
  }

  /** Starts, once; resolves when every kind has its first list, or is too slow for it. */
  start(): Promise<void> {
    return (this.#synced ??= this.#start());
  }

  async #start(): Promise<void> {
    while (!(await this.#discover())) {
      if (this.#signal.aborted) return;
      await this.#pause(discoveryRetryMs);
    }
    void this.#keepDiscovering();
    await Promise.race([this.#monitors.synced(), this.#pause(syncTimeoutMs)]);
  }

  async #keepDiscovering(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#pause(rediscoverMs);
      await this.#discover();
    }
  }

  /** Watches what the server serves now; false when it did not answer. */
  async #discover(): Promise<boolean> {
    if (this.#signal.aborted) return false;
    try {
      const served = await discoverResources(this.#client, this.#signal);
      const isUnknown = (r: Resource): boolean =>
        served.unknown.includes(`${r.group}/${r.version}`) &&
        !served.preferred.some((s) => s.group === r.group && s.plural === r.plural);
      // What an aggregated server that is down used to serve still exists.
      const kept = this.#watched.filter(isUnknown);
      this.#served = { ...served, all: [...served.all, ...kept], preferred: [...served.preferred, ...kept] };
      this.#watched = this.#served.preferred.filter(isWatched);
      this.#monitors.sync(this.#watched);
      for (const listener of this.#onServed) listener();
      return true;
    } catch (error) {
      if (!this.#signal.aborted) this.#log.debug('discovery failed', { error: messageOf(error) });
      return false;
    }
  }

  #take(change: MetadataChange): void {
    const { group, plural } = change.resource;
    if (plural === customResourceDefinitions.plural && group === customResourceDefinitions.group)
      for (const ms of rediscoverAfterMs) void this.#pause(ms).then(() => this.#discoverOnce());
    for (const listener of this.#listeners) listener(change);
  }

  /** Many CRDs change together: they share one request. */
  #discoverOnce(): void {
    if (this.#isDiscovering) return;
    this.#isDiscovering = true;
    void this.#discover().then(() => {
      this.#isDiscovering = false;
    });
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#signal, ref: false }).catch(() => undefined); // aborted
  }
}

/** Events come and go by themselves, and in numbers. */
function isWatched(r: DiscoveredResource): boolean {
  return r.plural !== 'events' && ['list', 'watch', 'delete'].every((verb) => r.verbs.includes(verb));
}
