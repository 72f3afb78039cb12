import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { DownwardContext } from '../../model/downward.js';
import type { KubeletPod } from '../../model/pod.js';
import type { ContainerMount } from '../../runtime/container-config.js';
import { PodVolumes } from '../../volume/pod-volumes.js';
import type { TokenSource } from '../../volume/token-source.js';
import type { ContentDeps } from '../../volume/volume-content.js';
import { BackOff } from '../back-off.js';
import { podLogFolder } from '../container/container-files.js';
import { pruneLogLinks } from '../container/log-links.js';
import type { EventDetails } from '../../../base/event-recorder.js';
import type { ObjectSource } from '../../model/object-source.js';
import { podHostname, writePodFiles } from './pod-files.js';
import { createPodSandbox, PodSandboxError, removePodSandbox, type SandboxDeps } from './pod-sandbox.js';
import type { PodSandbox } from '../running-sandbox.js';

export interface PodSetupDeps extends SandboxDeps {
  readonly logger: Logger;
  readonly objects: ObjectSource;
  readonly tokens: TokenSource;
  readonly allocatable: DownwardContext['allocatable'];
  readonly canSwitchUser: boolean;
}

/** Names under which manifests ask for the ordinary runtime. */
const runtimeHandlers: ReadonlySet<string> = new Set(['bubblewrap', 'runc']);

const retryMinMs = 250;

/** What a pod needs before its containers can run: volumes, the sandbox, the files all containers share. */
export class PodSetup {
  sandbox: PodSandbox | undefined;
  /** Mounts that every container of the pod gets. */
  podMounts: readonly ContainerMount[] = [];
  hostname = '';
  readonly volumes: PodVolumes;
  #ips: readonly string[];
  #hasVolumes = false;
  readonly #deps: PodSetupDeps;
  readonly #pod: () => KubeletPod;
  readonly #emit: (details: EventDetails) => void;
  readonly #backOff = new BackOff({ initialMs: 500, maxMs: 8_000 });

  constructor(deps: PodSetupDeps, o: { pod: () => KubeletPod; emit: (details: EventDetails) => void }) {
    this.#deps = deps;
    this.#pod = o.pod;
    this.#emit = o.emit;
    const pod = o.pod();
    // What a node had given out before it booted may be another pod's by now; of a pod that is over it is history.
    const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    this.#ips = isOver ? (pod.status?.podIPs ?? []).map(({ ip }) => ip) : [];
    this.volumes = new PodVolumes({
      host: deps.host,
      logger: deps.logger,
      uid: pod.metadata.uid,
      group: deps.canSwitchUser ? pod.spec.securityContext?.fsGroup : undefined,
    });
  }

  /** The pod's addresses; they stay known after the sandbox is gone. */
  get ips(): readonly string[] {
    return this.#ips;
  }

  /** Makes what is missing; returns how many milliseconds to wait when something is not there yet, else 0. */
  async ensure(): Promise<number> {
    try {
      await this.#ensureVolumes();
    } catch (error) {
      return this.#failed('FailedMount', error);
    }
    if (this.sandbox === undefined) {
      try {
        await this.#createSandbox();
      } catch (error) {
        return this.#failed('FailedCreatePodSandBox', error);
      }
    }
    this.#backOff.reset();
    return 0;
  }

  /** The pod's object changed: volumes that show it must follow. */
  podChanged(): void {
    if (this.#hasVolumes) this.volumes.podChanged(this.#pod(), this.contentDeps());
  }

  /** Gives the pod's address and namespaces back. */
  async releaseSandbox(): Promise<void> {
    const { sandbox } = this;
    if (sandbox === undefined) return;
    this.sandbox = undefined;
    await removePodSandbox(this.#pod(), sandbox, this.#deps).catch((error: unknown) =>
      this.#emit({
        type: 'Warning',
        reason: 'FailedKillPod',
        message: `error killing pod: ${messageOf(error)}`,
      }),
    );
  }

  /** Removes everything the pod has on the node. */
  async remove(): Promise<void> {
    await this.releaseSandbox();
    await this.volumes.remove();
    const pod = this.#pod();
    await rm(join(this.#deps.host.rootfs, podLogFolder(pod)), { recursive: true, force: true });
    await pruneLogLinks(this.#deps.host, pod);
    this.#deps.tokens.forget(pod.metadata.uid);
  }

  context(): DownwardContext {
    const { host, nodeIps, allocatable } = this.#deps;
    return { pod: this.#pod(), podIps: this.#ips, nodeName: host.name, nodeIps, allocatable };
  }

  contentDeps(): ContentDeps {
    return { context: this.context(), objects: this.#deps.objects, tokens: this.#deps.tokens };
  }

  async #ensureVolumes(): Promise<void> {
    if (this.#hasVolumes) return;
    const pod = this.#pod();
    await this.volumes.prepare(pod, this.contentDeps());
    this.volumes.startRefresh(pod, () => this.contentDeps());
    this.#hasVolumes = true;
  }

  async #createSandbox(): Promise<void> {
    const { host, dns } = this.#deps;
    const pod = this.#pod();
    await this.#requireRuntime(pod);
    const sandbox = await createPodSandbox(pod, this.#deps);
    this.sandbox = sandbox;
    this.#ips = sandbox.ips;
    this.hostname = sandbox.namespaces.uts === undefined ? host.name : podHostname(pod, dns.domain);
    const files = await writePodFiles(host, pod, { ips: sandbox.ips, hostname: this.hostname, dns });
    const sharedMemory = pod.spec.hostIPC === true ? '/dev/shm' : sandbox.namespaces.sharedMemory;
    this.podMounts = [...files, { source: sharedMemory, target: '/dev/shm', isReadOnly: false }];
    // The downward API may show the address, which was not known when the volumes were made.
    this.podChanged();
  }

  /** There is one runtime; a pod that was promised another must not run without what that would do for it. */
  async #requireRuntime({ spec }: KubeletPod): Promise<void> {
    const name = spec.runtimeClassName ?? '';
    if (name === '') return;
    const handler = await this.#deps.objects.runtimeHandler(name);
    if (!runtimeHandlers.has(handler))
      throw new PodSandboxError(
        `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "${handler}" is configured`,
      );
  }

  #failed(reason: string, error: unknown): number {
    this.#emit({ type: 'Warning', reason, message: messageOf(error) });
    return Math.max(this.#backOff.next(), retryMinMs);
  }
}
