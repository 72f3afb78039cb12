import type { KubeClient } from '#base/kube/client.js';
import { resourceId } from '../../base/discovery.js';
import { Reflector } from '#base/kube/reflector.js';
import type { Resource } from '#base/kube/resource.js';
import type { KubeObject, ObjectMeta } from '#base/kube/types.js';

export interface MonitorsOptions {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  /** What is kept of an object's metadata. */
  readonly keep: (metadata: ObjectMeta) => ObjectMeta;
  readonly onChange: (change: MetadataChange) => void;
  readonly onError: (message: string) => void;
}

export interface MetadataChange {
  readonly resource: Resource;
  readonly metadata: ObjectMeta;
  /** The object is gone, or its kind no longer watched. */
  readonly isGone: boolean;
}

interface Monitor {
  readonly resource: Resource;
  readonly reflector: Reflector<KubeObject>;
  readonly stop: AbortController;
}

/** Watches the metadata of every object of a changing set of kinds. */
export class ResourceMonitors {
  readonly #o: MonitorsOptions;
  readonly #monitors = new Map<string, Monitor>();

  constructor(options: MonitorsOptions) {
    this.#o = options;
  }

  /** Makes the watched kinds these: new ones begin, others end; a kind whose version changed begins anew. */
  sync(resources: readonly Resource[]): void {
    const wanted = new Map(resources.map((r) => [resourceId(r), r]));
    for (const [id, monitor] of this.#monitors) {
      if (wanted.get(id)?.version === monitor.resource.version) continue;
      this.#monitors.delete(id);
      monitor.stop.abort();
      for (const { metadata } of monitor.reflector.list())
        this.#o.onChange({ resource: monitor.resource, metadata, isGone: true });
    }
    for (const [id, resource] of wanted)
      if (!this.#monitors.has(id)) this.#monitors.set(id, this.#start(resource));
  }

  /** Resolves when each kind watched now has its first list. */
  async synced(): Promise<void> {
    await Promise.all([...this.#monitors.values()].map((m) => m.reflector.synced()));
  }

  #start(resource: Resource): Monitor {
    const { client, signal, keep, onChange, onError } = this.#o;
    const reflector = new Reflector<KubeObject>({
      client,
      resource,
      isMetadataOnly: true,
      keep: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata: keep(metadata) }),
      onError,
    });
    const stop = new AbortController();
    reflector.onChange(({ type, object, old }) => {
      if (stop.signal.aborted) return;
      // Deleted and made again between two lists: the reflector sees one object that changed.
      if (old !== undefined && old.metadata.uid !== object.metadata.uid)
        onChange({ resource, metadata: old.metadata, isGone: true });
      onChange({ resource, metadata: object.metadata, isGone: type === 'deleted' });
    });
    reflector.start(AbortSignal.any([signal, stop.signal]));
    return { resource, reflector, stop };
  }
}
