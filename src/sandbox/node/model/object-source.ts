import { KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import {
  configMaps,
  type ObjectRef,
  persistentVolumeClaims,
  persistentVolumes,
  runtimeClasses,
  secrets,
  services,
} from '#base/kube/resource.js';
import type { KubeObject, Service } from '#base/kube/types.js';
import { ContainerConfigError } from './config-error.js';
import { within } from './within.js';

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

interface RuntimeClassObject extends KubeObject {
  handler: string;
}

export type SourceKind = 'configmap' | 'secret';

/** The content of a ConfigMap or Secret as files or variables: key -> bytes. */
export type SourceData = ReadonlyMap<string, Buffer>;

interface Watch {
  readonly abort: AbortController;
  readonly listeners: Set<() => void>;
}

/** After this long what is known from before has to do: the API server is away, and containers restart all the same. */
const answerTimeoutMs = 3_000;
const knownMax = 1024;
const servicesTimeoutMs = 5_000;

/**
 * What the pods of one node need from the API. Reads go to the API server, so a pod
 * never starts with old content, unless nobody answers; watches exist only for objects
 * that some running pod mounts (as kubelet does: one object each, not whole
 * namespaces), and for all services.
 */
export class ObjectSource {
  readonly #client: KubeClient;
  readonly #watches = new Map<string, Watch>();
  readonly #known = new Map<string, SourceData | undefined>();
  readonly #handlers = new Map<string, string>();
  readonly #ended = new AbortController();
  #services: Reflector<Service> | undefined;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** The content; undefined when the object does not exist. */
  async read(kind: SourceKind, namespace: string, name: string): Promise<SourceData | undefined> {
    const ref: ObjectRef = { resource: kind === 'secret' ? secrets : configMaps, namespace, name };
    const key = `${kind}/${namespace}/${name}`;
    try {
      const object = await within(
        answerTimeoutMs,
        this.#client.getOrUndefined<ConfigMapObject & SecretObject>(ref),
      );
      const content = object === undefined ? undefined : contentOf(kind, object);
      this.#remember(key, content);
      return content;
    } catch (error) {
      if (error instanceof KubeApiError || !this.#known.has(key)) throw error;
      return this.#known.get(key);
    }
  }

  /** A claim; undefined when it does not exist. */
  claim(namespace: string, name: string): Promise<PersistentVolumeClaimObject | undefined> {
    return this.#client.getOrUndefined({ resource: persistentVolumeClaims, namespace, name });
  }

  /** The handler that a RuntimeClass names: as last read, when nobody answers. Rejects while the class is not known. */
  async runtimeHandler(name: string): Promise<string> {
    try {
      const { handler } = await within(
        answerTimeoutMs,
        this.#client.get<RuntimeClassObject>({ resource: runtimeClasses, name }),
      );
      this.#handlers.set(name, handler);
      return handler;
    } catch (error) {
      const known = this.#handlers.get(name);
      if (error instanceof KubeApiError || known === undefined) throw error;
      return known;
    }
  }

  volume(name: string): Promise<PersistentVolumeObject | undefined> {
    return this.#client.getOrUndefined({ resource: persistentVolumes, name });
  }

  /** The services of a namespace. Rejects while none have ever been read. */
  async services(namespace: string): Promise<Service[]> {
    if (this.#services === undefined) {
      this.#services = new Reflector<Service>({ client: this.#client, resource: services });
      this.#services.start(this.#ended.signal);
    }
    const reflector = this.#services;
    if (!reflector.isSynced)
      await within(servicesTimeoutMs, reflector.synced()).catch(() => {
        throw new ContainerConfigError(
          'services have not yet been read at least once, cannot construct envvars',
        );
      });
    return reflector.list().filter((service) => service.metadata.namespace === namespace);
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
    this.#ended.abort();
    for (const { abort } of this.#watches.values()) abort.abort();
    this.#watches.clear();
    this.#known.clear();
  }

  #remember(key: string, content: SourceData | undefined): void {
    this.#known.delete(key);
    this.#known.set(key, content);
    const [oldest] = this.#known.keys();
    if (this.#known.size > knownMax && oldest !== undefined) this.#known.delete(oldest);
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
