import type { KubeClient } from '../../../kube/client.js';
import { Reflector } from '../../../kube/reflector.js';
import {
  configMaps,
  type ObjectRef,
  persistentVolumeClaims,
  persistentVolumes,
  secrets,
  services,
} from '../../../kube/resource.js';
import type { KubeObject, Service } from '../../../kube/types.js';

export interface ConfigMapObject extends KubeObject {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export interface SecretObject extends KubeObject {
  /** Base64. */
  data?: Record<string, string>;
}

export interface PersistentVolumeClaimObject extends KubeObject {
  spec: { volumeName?: string };
  status?: { phase?: string };
}

export interface PersistentVolumeObject extends KubeObject {
  spec: { hostPath?: { path: string; type?: string }; local?: { path: string } };
}

export type SourceKind = 'configmap' | 'secret';

/** The content of a ConfigMap or Secret as files or variables: key -> bytes. */
export type SourceData = ReadonlyMap<string, Buffer>;

interface Watch {
  readonly abort: AbortController;
  readonly listeners: Set<() => void>;
}

/**
 * ConfigMaps and Secrets for the pods of one node. Reads go to the API server, so a
 * pod never starts with old content; watches exist only for objects that some
 * running pod mounts (as kubelet does: one object each, not whole namespaces).
 */
export class ObjectSource {
  readonly #client: KubeClient;
  readonly #watches = new Map<string, Watch>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** The content; undefined when the object does not exist. */
  async read(kind: SourceKind, namespace: string, name: string): Promise<SourceData | undefined> {
    const ref: ObjectRef = { resource: kind === 'secret' ? secrets : configMaps, namespace, name };
    const object = await this.#client.getOrUndefined<ConfigMapObject & SecretObject>(ref);
    return object === undefined ? undefined : contentOf(kind, object);
  }

  /** A claim; undefined when it does not exist. */
  claim(namespace: string, name: string): Promise<PersistentVolumeClaimObject | undefined> {
    return this.#client.getOrUndefined({ resource: persistentVolumeClaims, namespace, name });
  }

  volume(name: string): Promise<PersistentVolumeObject | undefined> {
    return this.#client.getOrUndefined({ resource: persistentVolumes, name });
  }

  /** The services of a namespace. */
  services(namespace: string): Promise<Service[]> {
    return this.#client.list<Service>(services, { namespace });
  }

  /** Calls back when the object changes, until the returned function is called. */
  watch(
    kind: SourceKind,
    { namespace, name }: { namespace: string; name: string },
    onChange: () => void,
  ): () => void {
    const key = `${kind}/${namespace}/${name}`;
    let watch = this.#watches.get(key);
    if (watch === undefined) {
      watch = { abort: new AbortController(), listeners: new Set() };
      this.#watches.set(key, watch);
      const { listeners } = watch;
      const reflector = new Reflector<KubeObject>({
        client: this.#client,
        resource: kind === 'secret' ? secrets : configMaps,
        namespace,
        fieldSelector: `metadata.name=${name}`,
      });
      reflector.onChange(() => {
        for (const listener of listeners) listener();
      });
      reflector.start(watch.abort.signal);
    }
    const { listeners, abort } = watch;
    listeners.add(onChange);
    return () => {
      listeners.delete(onChange);
      if (listeners.size > 0) return;
      abort.abort();
      this.#watches.delete(key);
    };
  }

  close(): void {
    for (const { abort } of this.#watches.values()) abort.abort();
    this.#watches.clear();
  }
}

function contentOf(kind: SourceKind, object: ConfigMapObject & SecretObject): SourceData {
  const content = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(object.data ?? {}))
    content.set(key, kind === 'secret' ? Buffer.from(value, 'base64') : Buffer.from(value));
  for (const [key, value] of Object.entries(object.binaryData ?? {}))
    content.set(key, Buffer.from(value, 'base64'));
  return content;
}
