import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../../errors/mesh-error.js';
import type { KubeClient } from '../../../../kube/client.js';
import { pods } from '../../../../kube/resource.js';
import type { Logger } from '../../../../telemetry/log.js';
import type { DownwardContext } from '../../model/downward.js';
import { type Pod, podKey } from '../../model/pod.js';
import type { ContainerMount } from '../../runtime/container-config.js';
import type { ContentDeps } from '../../volume/volume-content.js';
import { PodVolumes } from '../../volume/pod-volumes.js';
import type { TokenSource } from '../../volume/token-source.js';
import { BackOff } from '../back-off.js';
import { ContainerKeeper } from '../container/container-keeper.js';
import { type ContainerSlot, seconds } from '../container/container-slot.js';
import { podLogFolder, type StartDeps } from '../container/container-starter.js';
import type { EventDetails, EventRecorder } from '../event-recorder.js';
import { type ClusterDnsSettings, podHostname, writePodFiles } from './pod-files.js';
import { makeSlots, shouldRun } from './pod-slots.js';
import { createPodSandbox, type PodSandbox, removePodSandbox, type SandboxDeps } from './pod-sandbox.js';
import { buildPodStatus, isInitialized, podPhase } from './pod-status.js';
import { StatusPublisher } from './status-publisher.js';

export interface PodWorkerDeps extends StartDeps, SandboxDeps {
  readonly client: KubeClient;
  readonly tokens: TokenSource;
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly dns: ClusterDnsSettings;
  readonly allocatable: DownwardContext['allocatable'];
  /** Called once when the pod is gone from this node. */
  readonly onFinished: () => void;
}

export const runtimeName = 'bubblewrap';
const graceDefaultSeconds = 30;
/** A pod whose object vanished (forced deletion) gets this long at most. */
const goneGraceMaxMs = 2_000;
const publishRetryMs = 1_000;
const idleMs = 60_000;

/**
 * Brings one pod to what its object says, one step at a time: volumes, network,
 * init containers, containers, restarts; then, when it is deleted, the way back.
 * running -> (done: all containers ended for good) -> terminating -> finished.
 * Steps never overlap; anything that may need another step calls {@link wake}.
 */
export class PodWorker {
  readonly slots: readonly ContainerSlot[];
  #pod: Pod;
  #sandbox: PodSandbox | undefined;
  #ips: readonly string[] = [];
  #podMounts: readonly ContainerMount[] = [];
  #hasVolumes = false;
  #failure: { reason: string; message: string } | undefined;
  #state: 'running' | 'done' | 'terminating' | 'finished' = 'running';
  #isGone = false;
  /** It had ended before this kubelet began. */
  #hadEnded = false;
  #killTimer: NodeJS.Timeout | undefined;
  #isWoken = false;
  #wakeUp: () => void = () => undefined;
  readonly #deps: PodWorkerDeps;
  readonly #keeper: ContainerKeeper;
  readonly #volumes: PodVolumes;
  readonly #publisher: StatusPublisher;
  readonly #setupBackOff = new BackOff({ initialMs: 500, maxMs: 8_000 });
  readonly #startTime: string;
  readonly #running: Promise<void>;

  constructor(pod: Pod, deps: PodWorkerDeps, signal: AbortSignal) {
    this.#pod = pod;
    this.#deps = deps;
    this.#startTime = pod.status?.startTime ?? seconds(new Date());
    this.#volumes = new PodVolumes({
      host: deps.host,
      logger: deps.logger,
      uid: pod.metadata.uid,
      group: deps.canSwitchUser ? pod.spec.securityContext?.fsGroup : undefined,
    });
    this.#publisher = new StatusPublisher(deps);
    this.slots = makeSlots(pod);
    this.#keeper = new ContainerKeeper({
      ...deps,
      netns: deps.host.netns,
      emit: (details) => this.#emit(details),
      wake: () => this.wake(),
      pod: () => this.#pod,
      podIp: () => this.#ips[0] ?? '',
    });
    const phase = pod.status?.phase;
    // A pod that ended under an earlier kubelet is not run again; its status stays as it was left.
    if (phase === 'Succeeded' || phase === 'Failed') {
      this.#state = 'done';
      this.#hadEnded = true;
    }
    this.#running = this.#loop(signal);
  }

  get pod(): Pod {
    return this.#pod;
  }

  get sandbox(): PodSandbox | undefined {
    return this.#sandbox;
  }

  /** Resolves when the worker has ended. */
  get finished(): Promise<void> {
    return this.#running;
  }

  /** The pod's object changed. */
  update(pod: Pod): void {
    const wasDeleting = this.#pod.metadata.deletionTimestamp !== undefined;
    this.#pod = pod;
    if (wasDeleting)
      this.#shortenGrace((pod.metadata.deletionGracePeriodSeconds ?? graceDefaultSeconds) * 1000);
    this.wake();
  }

  /** The pod's object is gone: whatever still runs has no right to. */
  remove(): void {
    this.#isGone = true;
    this.#shortenGrace(goneGraceMaxMs);
    this.wake();
  }

  wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (this.#state !== 'finished' && !signal.aborted) {
      this.#isWoken = false;
      let waitMs = publishRetryMs;
      try {
        waitMs = await this.#step();
        if (!(await this.#publish())) waitMs = Math.min(waitMs, publishRetryMs);
      } catch (error) {
        this.#deps.logger.error('pod step failed', { pod: podKey(this.#pod), error: messageOf(error) });
      }
      if (this.#isFinished()) break;
      await this.#pause(Math.min(waitMs, idleMs), signal);
    }
    clearTimeout(this.#killTimer);
    if (!signal.aborted) this.#deps.onFinished();
  }

  #isFinished(): boolean {
    return this.#state === 'finished';
  }

  /** Does what can be done now; returns after how many milliseconds to look again. */
  async #step(): Promise<number> {
    for (const slot of this.slots) await this.#keeper.collectExit(slot);
    if (this.#isGone || this.#pod.metadata.deletionTimestamp !== undefined) {
      await this.#terminate();
      return 0;
    }
    if (this.#state === 'done') return idleMs;
    const deadlineMs = this.#deadlineMs();
    if (deadlineMs <= 0) {
      await this.#fail('DeadlineExceeded', 'Pod was active on the node longer than the specified deadline');
      return idleMs;
    }
    const phase = podPhase(this.#pod, this.slots);
    if (phase === 'Succeeded' || phase === 'Failed') {
      await this.#finishContainers();
      return idleMs;
    }
    const setupWaitMs = await this.#setUp();
    if (setupWaitMs > 0) return setupWaitMs;
    return Math.min(deadlineMs, await this.#runContainers());
  }

  /** Volumes and network; returns the back-off when something is not there yet. */
  async #setUp(): Promise<number> {
    if (!this.#hasVolumes) {
      try {
        await this.#volumes.prepare(this.#pod, this.#contentDeps());
        this.#volumes.startRefresh(this.#pod, () => this.#contentDeps());
        this.#hasVolumes = true;
      } catch (error) {
        return this.#setupFailed('FailedMount', error);
      }
    }
    if (this.#sandbox === undefined) {
      try {
        const sandbox = await createPodSandbox(this.#pod, this.#deps);
        this.#sandbox = sandbox;
        this.#ips = sandbox.ips;
        this.#podMounts = await writePodFiles(this.#deps.host, this.#pod, {
          ip: sandbox.ips[0] ?? '',
          hostname: sandbox.netns === undefined ? this.#deps.host.name : podHostname(this.#pod),
          dns: this.#deps.dns,
        });
      } catch (error) {
        return this.#setupFailed('FailedCreatePodSandBox', error);
      }
      await this.#publish();
    }
    this.#setupBackOff.reset();
    return 0;
  }

  #setupFailed(reason: string, error: unknown): number {
    this.#emit({ type: 'Warning', reason, message: messageOf(error) });
    const firstRetryMs = 250;
    return Math.max(this.#setupBackOff.next(), firstRetryMs);
  }

  async #runContainers(): Promise<number> {
    let waitMs = idleMs;
    for (const slot of this.slots) {
      if (slot.kind === 'main' && !isInitialized(this.slots)) return waitMs;
      if (!slot.isRunning && shouldRun(this.#pod, slot)) {
        if (slot.kind === 'main' && slot.container === undefined)
          slot.waiting ??= { reason: 'ContainerCreating' };
        const backOffMs = await this.#keeper.ensureStarted(slot, this.#startRequest());
        if (backOffMs > 0) waitMs = Math.min(waitMs, backOffMs);
        else if (!slot.isRunning) waitMs = 0;
      } else if (!slot.isRunning) slot.waiting = undefined;
      // The next init container waits for this one's end, or for a sidecar's start.
      if (slot.kind !== 'main' && !isInitialized([slot])) return waitMs;
    }
    return waitMs;
  }

  async #terminate(): Promise<void> {
    this.#state = 'terminating';
    const graceSeconds =
      this.#pod.metadata.deletionGracePeriodSeconds ?? this.#pod.spec.terminationGracePeriodSeconds;
    const graceMs = this.#isGone ? goneGraceMaxMs : (graceSeconds ?? graceDefaultSeconds) * 1000;
    await this.#stopContainers(graceMs);
    await this.#publish();
    await this.#releaseSandbox();
    await this.#volumes.remove();
    await rm(join(this.#deps.host.rootfs, podLogFolder(this.#pod)), { recursive: true, force: true });
    this.#deps.tokens.forget(this.#pod.metadata.uid);
    if (!this.#isGone) await this.#deleteObject();
    this.#state = 'finished';
  }

  /** Containers first, then sidecars in reverse order, all within one grace period. */
  async #stopContainers(graceMs: number): Promise<void> {
    const deadlineMs = Date.now() + graceMs;
    const stop = (slot: ContainerSlot): Promise<void> =>
      this.#keeper.stop(slot, {
        graceMs: Math.max(0, deadlineMs - Date.now()),
        reason: `Stopping container ${slot.spec.name}`,
      });
    await Promise.all(this.slots.filter((s) => s.kind !== 'sidecar').map(stop));
    for (const slot of this.slots.filter((s) => s.kind === 'sidecar').toReversed()) await stop(slot);
    for (const slot of this.slots) {
      slot.waiting = undefined;
      await this.#keeper.collectExit(slot);
    }
  }

  /** The work is over but the object stays: stop sidecars, give the address back, keep the logs. */
  async #finishContainers(): Promise<void> {
    await this.#stopContainers((this.#pod.spec.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000);
    await this.#releaseSandbox();
    this.#state = 'done';
    await this.#publish();
  }

  async #fail(reason: string, message: string): Promise<void> {
    this.#failure = { reason, message };
    this.#emit({ type: 'Normal', reason, message });
    await this.#finishContainers();
  }

  async #releaseSandbox(): Promise<void> {
    const sandbox = this.#sandbox;
    if (sandbox === undefined) return;
    this.#sandbox = undefined;
    await removePodSandbox(this.#pod, sandbox, this.#deps).catch((error: unknown) =>
      this.#emit({ type: 'Warning', reason: 'FailedKillPod', message: messageOf(error) }),
    );
  }

  async #deleteObject(): Promise<void> {
    const { namespace, name, uid } = this.#pod.metadata;
    await this.#deps.client
      .delete({ resource: pods, namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } })
      .catch((error: unknown) =>
        this.#deps.logger.warn('pod object not deleted', { pod: podKey(this.#pod), error: messageOf(error) }),
      );
  }

  /** Writes the status if it changed; false when that failed and should be tried again. */
  async #publish(): Promise<boolean> {
    if (this.#isGone || this.#state === 'finished') return true;
    // A pod that ended under an earlier kubelet: nothing is known here that the object does not say.
    if (this.#state === 'done' && this.#hadEnded) return true;
    const status = buildPodStatus({
      pod: this.#pod,
      slots: this.slots,
      ips: this.#ips,
      nodeIp: this.#deps.nodeIp,
      hasSandbox: this.#sandbox !== undefined,
      startTime: this.#startTime,
      now: seconds(new Date()),
      failure: this.#failure,
      runtimeName,
      published: this.#publisher.conditions,
    });
    return this.#publisher.publish(this.#pod, status);
  }

  #shortenGrace(graceMs: number): void {
    if (this.#state !== 'terminating' && !this.#isGone) return;
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => {
      for (const slot of this.slots) slot.container?.signal('SIGKILL');
    }, graceMs);
    this.#killTimer.unref();
  }

  #deadlineMs(): number {
    const { activeDeadlineSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds === undefined) return idleMs;
    return Date.parse(this.#startTime) + activeDeadlineSeconds * 1000 - Date.now();
  }

  #context(): DownwardContext {
    return {
      pod: this.#pod,
      podIps: this.#ips,
      nodeName: this.#deps.host.name,
      nodeIp: this.#deps.nodeIp,
      allocatable: this.#deps.allocatable,
    };
  }

  #contentDeps(): ContentDeps {
    return { context: this.#context(), objects: this.#deps.objects, tokens: this.#deps.tokens };
  }

  #startRequest() {
    return {
      pod: this.#pod,
      sandbox: this.#sandbox ?? { id: '', netns: undefined, ips: [] },
      volumes: this.#volumes,
      podMounts: this.#podMounts,
      context: this.#context(),
    };
  }

  #emit(details: EventDetails): void {
    this.#deps.events.record(this.#pod, details);
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isWoken || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      const onAbort = (): void => resolve();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wakeUp = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }
}
