import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { pods } from '#base/kube/resource.js';
import { type KubeletPod, podKey } from '../../model/pod.js';
import type { KubeletPodStatus } from '../../model/pod-status.js';
import { timestamp } from '../../../base/timestamp.js';
import { ContainerKeeper, graceAfterHookMinMs } from '../container/container-keeper.js';
import type { ContainerSlot } from '../container/container-slot.js';
import type { StartDeps } from '../container/container-starter.js';
import type { EventDetails, EventRecorder } from '../../../base/event-recorder.js';
import { WakeableLoop } from '../wakeable-loop.js';
import { PodContainers } from './pod-containers.js';
import { PodSetup, type PodSetupDeps } from './pod-setup.js';
import { isWorkOver, makeSlots, updateSlots } from './pod-slots.js';
import { buildPodStatus, type PodFailure } from './pod-status.js';
import { StatusPublisher } from './status-publisher.js';
import { hasStorageLimit, storageExcess } from './storage-excess.js';
import type { PodSandbox } from '../running-sandbox.js';

export interface PodWorkerDeps extends StartDeps, PodSetupDeps {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  /** Called once when the pod is gone from this node. */
  readonly onFinished: () => void;
}

export const runtimeName = 'bubblewrap';
const graceDefaultSeconds = 30;
/** A pod whose object vanished (forced deletion) gets this long at most. */
const goneGraceMaxMs = 2_000;
const retryMs = 1_000;
const idleMs = 60_000;
/** Kubelet looks at the local storage of pods as often. */
const storageCheckMs = 10_000;

/**
 * Brings one pod to what its object says, one step at a time: volumes, network,
 * init containers, containers, restarts; then, when it is deleted, the way back.
 * running -> (done: all containers ended for good) -> terminating -> finished.
 * Steps never overlap; anything that may need another step calls {@link wake}.
 */
export class PodWorker {
  readonly slots: ContainerSlot[];
  #pod: KubeletPod;
  #failure: PodFailure | undefined;
  #isStopping = false;
  #state: 'running' | 'done' | 'terminating' | 'finished' = 'running';
  #isGone = false;
  #killTimer: NodeJS.Timeout | undefined;
  #storageCheckedAtMs = 0;
  /** The pod ended under an earlier kubelet: its status stays as it was left. */
  readonly #isInherited: boolean;
  readonly #ending = new AbortController();
  readonly #deps: PodWorkerDeps;
  readonly #containers: PodContainers;
  readonly #setup: PodSetup;
  readonly #publisher: StatusPublisher;
  readonly #startTime: string;
  readonly #loop: WakeableLoop;

  /** `rejection`: the node does not take the pod; it fails without having run. */
  constructor(
    pod: KubeletPod,
    deps: PodWorkerDeps,
    o: { signal: AbortSignal; rejection?: PodFailure | undefined },
  ) {
    this.#pod = pod;
    this.#deps = deps;
    this.#startTime = pod.status?.startTime ?? timestamp();
    this.slots = o.rejection === undefined ? makeSlots(pod) : [];
    this.#failure = o.rejection;
    this.#publisher = new StatusPublisher(deps);
    const common = { pod: () => this.#pod, emit: (details: EventDetails) => this.#emit(details) };
    this.#setup = new PodSetup(deps, common);
    const keeper = new ContainerKeeper({
      ...deps,
      ...common,
      netns: deps.host.netns,
      wake: () => this.wake(),
      podIp: () => this.#setup.ips[0] ?? '',
      ending: this.#ending.signal,
    });
    this.#containers = new PodContainers({
      ...common,
      slots: this.slots,
      keeper,
      setup: this.#setup,
      onStopped: () => this.#publishSoon(),
    });
    const phase = pod.status?.phase;
    this.#isInherited = phase === 'Succeeded' || phase === 'Failed';
    if (this.#isInherited || o.rejection !== undefined) this.#state = 'done';
    if (o.rejection !== undefined) this.#emit({ type: 'Warning', ...o.rejection });
    if (this.slots.some((s) => s.hasRun) && this.#state === 'running')
      this.#emit({
        type: 'Normal',
        reason: 'SandboxChanged',
        message: 'Pod sandbox changed, it will be killed and re-created.',
      });
    this.#loop = new WakeableLoop(() => this.#round(), o.signal);
    void this.#loop.ended.then(() => {
      clearTimeout(this.#killTimer);
      if (this.#state === 'finished') deps.onFinished();
    });
  }

  get pod(): KubeletPod {
    return this.#pod;
  }

  get sandbox(): PodSandbox | undefined {
    return this.#setup.sandbox;
  }

  /** Counts for the node's resources: it runs or may still run containers. */
  get isActive(): boolean {
    return (
      this.#state === 'running' || (this.#state === 'terminating' && this.slots.some((s) => s.isRunning))
    );
  }

  /** Resolves when the worker has ended. */
  get finished(): Promise<void> {
    return this.#loop.ended;
  }

  /** The pod's object changed. */
  update(pod: KubeletPod): void {
    const wasDeleting = isDeleting(this.#pod);
    this.#pod = pod;
    if (this.#state === 'running') updateSlots(this.slots, pod);
    this.#setup.podChanged();
    if (isDeleting(pod)) {
      this.#ending.abort();
      // The first time, preStop hooks may take the whole period and leave a container its last moments.
      const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
      this.#killAfter(wasDeleting ? graceMs : graceMs + graceAfterHookMinMs);
    }
    this.wake();
  }

  /** The pod's object is gone: whatever still runs has no right to. */
  remove(): void {
    this.#isGone = true;
    this.#ending.abort();
    this.#killAfter(goneGraceMaxMs);
    this.wake();
  }

  wake(): void {
    // Containers may take their whole grace period to end, and their readiness changes on the way.
    if (this.#isStopping && this.slots.some((s) => s.isRunning)) this.#publishSoon();
    this.#loop.wake();
  }

  async #round(): Promise<number | 'end'> {
    try {
      const waitMs = await this.#step();
      if (waitMs !== 'end') this.#publishSoon();
      return waitMs;
    } catch (error) {
      this.#deps.logger.error('pod step failed', { pod: podKey(this.#pod), error: messageOf(error) });
      return retryMs;
    }
  }

  /** Does what can be done now; returns after how many milliseconds to look again. */
  async #step(): Promise<number | 'end'> {
    await this.#containers.collect();
    if (this.#isGone || isDeleting(this.#pod)) return this.#terminate();
    if (this.#state === 'done') return idleMs;
    const deadlineMs = this.#deadlineMs();
    if (deadlineMs <= 0) {
      const message = 'Pod was active on the node longer than the specified deadline';
      return this.#fail({ reason: 'DeadlineExceeded', message }, 'Normal');
    }
    if (isWorkOver(this.#pod, this.slots)) return this.#finishContainers();
    const excess = await this.#storageExcess();
    if (excess !== undefined)
      return this.#fail({ reason: 'Evicted', message: excess, isDisruption: true }, 'Warning');
    const setupWaitMs = await this.#setup.ensure();
    if (setupWaitMs > 0) return Math.min(setupWaitMs, deadlineMs);
    this.#publishSoon();
    const waitMs = Math.min(deadlineMs, await this.#containers.run());
    return hasStorageLimit(this.#pod) ? Math.min(waitMs, storageCheckMs) : waitMs;
  }

  async #terminate(): Promise<number | 'end'> {
    if (this.#state !== 'terminating') {
      this.#state = 'terminating';
      this.#ending.abort();
      const { deletionGracePeriodSeconds } = this.#pod.metadata;
      const graceMs =
        deletionGracePeriodSeconds === undefined
          ? this.#containers.graceMs
          : deletionGracePeriodSeconds * 1000;
      await this.#stop(this.#isGone ? Math.min(graceMs, goneGraceMaxMs) : graceMs);
      await this.#setup.releaseSandbox();
    }
    if (!(await this.#publish())) return retryMs;
    await this.#setup.remove();
    if (!this.#isGone && !(await this.#deleteObject())) return retryMs;
    this.#state = 'finished';
    return 'end';
  }

  /** The work is over but the object stays: stop sidecars, give the address back, keep the logs. */
  async #finishContainers(graceMs = this.#containers.graceMs): Promise<number> {
    await this.#stop(graceMs);
    await this.#setup.releaseSandbox();
    this.#state = 'done';
    return idleMs;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    try {
      await this.#containers.stop(graceMs);
    } finally {
      this.#isStopping = false;
    }
  }

  #fail(failure: PodFailure, type: EventDetails['type']): Promise<number> {
    this.#failure = failure;
    this.#emit({ type, reason: failure.reason, message: failure.message });
    return this.#finishContainers(failure.isDisruption === true ? 0 : this.#containers.graceMs);
  }

  /** False: the API server could not be asked. */
  async #deleteObject(): Promise<boolean> {
    const { namespace, name, uid } = this.#pod.metadata;
    try {
      await this.#deps.client.delete(
        { resource: pods, namespace, name },
        { gracePeriodSeconds: 0, preconditions: { uid } },
      );
      return true;
    } catch (error) {
      this.#deps.logger.warn('pod object not deleted', { pod: podKey(this.#pod), error: messageOf(error) });
      return false;
    }
  }

  /** Writes the status if it changed; false when that failed and should be tried again. */
  async #publish(): Promise<boolean> {
    if (this.#isGone || this.#state === 'finished' || this.#isInherited) return true;
    return this.#publisher.publish(this.#pod, () => this.#status());
  }

  /** Writes the status without anybody waiting for it: containers restart while the API server is away. */
  #publishSoon(): void {
    void this.#publish().then((isWritten) => {
      if (!isWritten) setTimeout(() => this.wake(), retryMs).unref();
    });
  }

  #status(): KubeletPodStatus {
    return buildPodStatus({
      pod: this.#pod,
      slots: this.slots,
      ips: this.#setup.ips,
      nodeIps: this.#deps.nodeIps,
      hasSandbox: this.#setup.sandbox !== undefined,
      isTerminal: this.#state !== 'running' || this.#failure !== undefined,
      startTime: this.#startTime,
      now: timestamp(),
      failure: this.#failure,
      runtimeName,
      published: this.#publisher.conditions,
    });
  }

  /** However far the way down has got by then. */
  #killAfter(graceMs: number): void {
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => {
      this.#containers.kill();
    }, graceMs);
    this.#killTimer.unref();
  }

  #deadlineMs(): number {
    const { activeDeadlineSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds === undefined) return idleMs;
    return Date.parse(this.#startTime) + activeDeadlineSeconds * 1000 - Date.now();
  }

  async #storageExcess(): Promise<string | undefined> {
    if (!hasStorageLimit(this.#pod) || Date.now() - this.#storageCheckedAtMs < storageCheckMs)
      return undefined;
    this.#storageCheckedAtMs = Date.now();
    return storageExcess(this.#pod, this.slots, { host: this.#deps.host, volumes: this.#setup.volumes });
  }

  #emit(details: EventDetails): void {
    this.#deps.events.record({ about: this.#pod, ...details });
  }
}

function isDeleting(pod: KubeletPod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}
