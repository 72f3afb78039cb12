import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { nodes, pods } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { createLogger, type Logger } from '#base/telemetry/log.js';
import { CniRunner } from '../cni/cni-runner.js';
import type { NodeHost } from '../host/node-host.js';
import type { ImageStore } from '../image/image.js';
import type { KubeletPod } from '../model/pod.js';
import { TokenSource } from '../volume/token-source.js';
import { admissionProblem, type KubeletState } from './admission.js';
import { hasManyUserIds } from './container/container-security.js';
import { EventRecorder } from '../../base/event-recorder.js';
import { keepNodeObject } from './node/node-heartbeat.js';
import { allocatable, type NodeIdentity } from './node/node-status.js';
import { ObjectSource } from '../model/object-source.js';
import type { ClusterDnsSettings } from './pod/pod-files.js';
import type { SandboxDeps } from './pod/pod-sandbox.js';
import { PodWorker, type PodWorkerDeps } from './pod/pod-worker.js';

export interface KubeletOptions {
  readonly host: NodeHost;
  /** Acts as `system:node:<name>`. */
  readonly client: KubeClient;
  readonly identity: NodeIdentity;
  readonly images: readonly ImageStore[];
  readonly dns: ClusterDnsSettings;
  /** Called when a pod has its addresses; its containers start when it resolves. */
  readonly podAttached?: SandboxDeps['podAttached'];
  /** Told of each heartbeat that the API server did not answer: connections may be half-open. */
  readonly onUnanswered: () => void;
}

const readAgainMs = 1000;

/** One node's agent: registers the node and runs the pods that are bound to it. */
export class Kubelet {
  readonly cni: CniRunner;
  readonly #o: KubeletOptions;
  readonly #logger: Logger = createLogger('kubelet');
  #node: KubeObject | undefined;
  /** Pods that wait for a fresh look at the node, as they are now; undefined: gone meanwhile. */
  readonly #inDoubt = new Map<string, KubeletPod | undefined>();
  readonly #workers = new Map<string, PodWorker>();
  readonly #deps: Omit<PodWorkerDeps, 'onFinished'>;
  readonly #objects: ObjectSource;
  readonly #events: EventRecorder;
  #hasReported = false;

  constructor(options: KubeletOptions) {
    const { client, host, identity } = options;
    this.#o = options;
    this.cni = new CniRunner(host);
    this.#objects = new ObjectSource(client);
    this.#events = new EventRecorder({ client, component: 'kubelet', host: identity.name });
    this.#deps = {
      host,
      client,
      cni: this.cni,
      nodeIps: identity.ips,
      images: options.images,
      objects: this.#objects,
      canSwitchUser: hasManyUserIds(),
      tokens: new TokenSource(client),
      events: this.#events,
      logger: this.#logger,
      dns: options.dns,
      podAttached: options.podAttached,
      allocatable: allocatable(),
    };
  }

  get host(): NodeHost {
    return this.#o.host;
  }

  /** Runs until the signal aborts; resolves then, leaving processes to whoever stops the node. */
  async run(signal: AbortSignal): Promise<void> {
    const reflector = new Reflector<KubeletPod>({
      client: this.#o.client,
      resource: pods,
      fieldSelector: `spec.nodeName=${this.#o.identity.name}`,
      onError: (message) => this.#logger.debug('watch interrupted', { node: this.#o.identity.name, message }),
    });
    reflector.onChange(({ type, object }) => {
      const { uid } = object.metadata;
      const worker = this.#workers.get(uid);
      if (this.#inDoubt.has(uid)) this.#inDoubt.set(uid, type === 'deleted' ? undefined : object);
      else if (type === 'deleted') worker?.remove();
      else if (worker === undefined) this.#begin(object, signal);
      else worker.update(object);
    });
    // Attachments of an earlier run are nobody's.
    await this.cni
      .collectGarbage(new Set())
      .catch((error: unknown) =>
        this.#logger.warn('network plugins left something', { error: messageOf(error) }),
      );
    reflector.start(signal);
    for (const store of this.#o.images)
      store.onChange(() => {
        for (const worker of this.#workers.values()) worker.wake();
      }, signal);
    await keepNodeObject({
      client: this.#o.client,
      identity: this.#o.identity,
      signal,
      logger: this.#logger,
      events: this.#events,
      problem: () => this.#networkProblem(),
      images: () => this.#o.images.flatMap((store) => store.list()),
      onNode: (node) => {
        this.#node = node;
      },
      onReported: () => {
        this.#hasReported = true;
      },
      onUnanswered: this.#o.onUnanswered,
    });
    this.#objects.close();
    await Promise.all([...this.#workers.values()].map((w) => w.finished));
    await this.#events.flush();
  }

  /** Whether the API server has the node's status of this run; until then it shows that of an earlier one. */
  get hasReported(): boolean {
    return this.#hasReported;
  }

  /** The worker of a pod on this node. */
  worker(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  /** The pods this kubelet runs, as it knows them. */
  pods(): KubeletPod[] {
    return [...this.#workers.values()].map((w) => w.pod);
  }

  /** Pods on this node, for status displays. */
  get podCount(): number {
    return this.#workers.size;
  }

  #begin(pod: KubeletPod, signal: AbortSignal, o: { readonly isNodeFresh?: boolean } = {}): void {
    const { uid } = pod.metadata;
    const onFinished = (): void => {
      this.#workers.delete(uid);
    };
    const isFirst = pod.status?.startTime === undefined && pod.metadata.deletionTimestamp === undefined;
    const rejection = isFirst ? admissionProblem(pod, this.#state()) : undefined;
    if (rejection?.reason === 'NodeAffinity' && o.isNodeFresh !== true) {
      void this.#beginInDoubt(pod, signal);
      return;
    }
    this.#workers.set(uid, new PodWorker(pod, { ...this.#deps, onFinished }, { signal, rejection }));
  }

  /** The scheduler may know labels of this node that were set since it was last read; a rejection would be for good. */
  async #beginInDoubt(pod: KubeletPod, signal: AbortSignal): Promise<void> {
    const { uid } = pod.metadata;
    this.#inDoubt.set(uid, pod);
    const ref = { resource: nodes, name: this.#o.identity.name };
    while (!signal.aborted) {
      try {
        this.#node = await this.#o.client.get(ref, { signal });
        break;
      } catch {
        // Without the API server nothing could be reported about the pod either.
        await delay(readAgainMs, undefined, { signal }).catch(() => undefined);
      }
    }
    const latest = this.#inDoubt.get(uid);
    this.#inDoubt.delete(uid);
    if (latest !== undefined && !signal.aborted) this.#begin(latest, signal, { isNodeFresh: true });
  }

  #state(): KubeletState {
    const active = [...this.#workers.values()].filter((w) => w.isActive).map((w) => w.pod);
    return { node: this.#node, active, allocatable: allocatable() };
  }

  async #networkProblem(): Promise<string | undefined> {
    try {
      await this.cni.status();
      return undefined;
    } catch (error) {
      return `container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: ${messageOf(error)}`;
    }
  }
}
