import { formatGoDuration } from '#base/time/duration.js';
import type { Probe, ProbeHandler } from '#base/kube/types.js';
import type { ContainerSpec, KubeletPod } from '../../model/pod.js';
import { timestamp } from '../../../base/timestamp.js';
import { type ProbeTarget, runHandler } from '../../probe/prober.js';
import type { EventDetails } from '../../../base/event-recorder.js';
import { pruneLogs, removeContainer, terminationMessage } from './container-files.js';
import { ContainerProbes } from './container-probes.js';
import { runInContainer } from './container-process.js';
import type { ContainerSlot, WaitingState } from './container-slot.js';
import { type StartDeps, type StartRequest, startContainer } from './container-starter.js';
import { type HookOutcome, runHook } from './lifecycle-hooks.js';
import { pruneLogLinks } from './log-links.js';
import { backingOff, failureEvents, startFailure } from './start-failure.js';

export interface KeeperDeps extends StartDeps {
  /** The node's network namespace, where probes come from. */
  readonly netns: number;
  readonly emit: (details: EventDetails) => void;
  /** The pod's worker should look again. */
  readonly wake: () => void;
  readonly pod: () => KubeletPod;
  readonly podIp: () => string;
  /** Aborts when the pod is to end: a postStart hook is not waited for any longer. */
  readonly ending: AbortSignal;
}

export interface StopOptions {
  readonly graceMs: number;
  /** Of the Killing event. */
  readonly message: string;
}

/** A failed start is not tried again sooner. */
const startRetryMinMs = 1_000;
const graceDefaultSeconds = 30;
/** What a container gets to end, however long its preStop hook took. */
export const graceAfterHookMinMs = 2_000;

/** Starts, probes, stops and accounts for the containers of one pod; when to do so is the worker's decision. */
export class ContainerKeeper {
  readonly #deps: KeeperDeps;
  readonly #probes = new Map<ContainerSlot, ContainerProbes>();

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Starts an instance if its back-off allows; returns how long to wait otherwise (0: started or tried). */
  async ensureStarted(slot: ContainerSlot, request: Omit<StartRequest, 'spec' | 'attempt'>): Promise<number> {
    const waitMs = slot.notBeforeMs - Date.now();
    if (waitMs > 0 && !this.#hasImageArrived(slot)) {
      slot.waiting =
        slot.startFailure === undefined
          ? this.#crashLoop(slot)
          : backingOff(slot.startFailure, slot.spec.image);
      return waitMs;
    }
    const attempt = slot.nextAttempt;
    const { spec } = slot;
    try {
      const started = await startContainer({ ...request, spec, attempt }, this.#deps);
      const { container } = started;
      slot.began(container, spec.image);
      this.#announce(slot, started.deviations);
      void container.exited.then(() => this.#deps.wake());
      await pruneLogs(container.log.path, attempt);
      await pruneLogLinks(this.#deps.host, request.pod);
      if (!container.isRunning || !(await this.#postStart(slot))) return 0;
      if (slot.kind === 'main' || slot.kind === 'sidecar') this.#startProbes(slot);
      return 0;
    } catch (error) {
      return this.#startFailed(slot, error);
    }
  }

  /** Who has just loaded the image a container waits for need not sit out its back-off. */
  #hasImageArrived({ startFailure, spec }: ContainerSlot): boolean {
    if (startFailure?.reason !== 'ErrImagePull' && startFailure?.reason !== 'ErrImageNeverPull') return false;
    return this.#deps.images.some((store) => store.find(spec.image) !== undefined);
  }

  /** Accounts for an instance that has ended since the last look; returns whether it had. */
  async collectExit(slot: ContainerSlot): Promise<boolean> {
    const { container } = slot;
    const exit = container?.exit;
    if (container === undefined || exit === undefined || slot.terminated !== undefined) return false;
    const { exitCode, startError } = exit;
    const policy = slot.spec.terminationMessagePolicy;
    const text = startError ?? (await terminationMessage(this.#deps.host, container, { policy, exitCode }));
    this.#stopProbes(slot);
    slot.ended({
      exitCode,
      reason: startError !== undefined ? 'StartError' : exitCode === 0 ? 'Completed' : 'Error',
      ...(text === undefined ? {} : { message: text }),
      startedAt: timestamp(container.startedAt),
      finishedAt: timestamp(exit.finishedAt),
      containerID: `bubblewrap://${container.config.id}`,
    });
    if (startError !== undefined) {
      this.#emit(slot, { type: 'Warning', reason: 'Failed', message: `Error: ${startError}` });
      slot.waiting = { reason: 'RunContainerError', message: startError };
    }
    const ranForMs = exit.finishedAt.getTime() - container.startedAt.getTime();
    slot.notBeforeMs = exit.finishedAt.getTime() + slot.backOff.next(ranForMs);
    await removeContainer(this.#deps.host, container);
    return true;
  }

  /** Stops an instance: preStop hook, SIGTERM, and SIGKILL when the grace period is over. */
  async stop(slot: ContainerSlot, { graceMs, message }: StopOptions): Promise<void> {
    const { container } = slot;
    if (container === undefined || !container.isRunning) return;
    this.#probes.get(slot)?.stopRestarting();
    const isFirst = !slot.isStopping;
    slot.isStopping = true;
    const deadlineMs = Date.now() + graceMs;
    const preStop = slot.spec.lifecycle?.preStop;
    if (isFirst) {
      this.#emit(slot, { type: 'Normal', reason: 'Killing', message });
      if (preStop !== undefined && graceMs > 0) await this.#preStop(slot, preStop, graceMs);
    }
    const leftMs = Math.max(deadlineMs - Date.now(), graceMs > 0 ? graceAfterHookMinMs : 0);
    await container.stop(leftMs);
  }

  #startFailed(slot: ContainerSlot, error: unknown): number {
    const failure = startFailure(error);
    const isRepeated = slot.startFailure?.reason === failure.reason;
    slot.startFailure = failure;
    const { image } = slot.spec;
    slot.waiting = isRepeated ? backingOff(failure, image) : failure;
    for (const event of failureEvents(failure, { image, isRepeated })) this.#emit(slot, event);
    const delayMs = Math.max(slot.startBackOff.next(), startRetryMinMs);
    slot.notBeforeMs = Date.now() + delayMs;
    return delayMs;
  }

  #crashLoop(slot: ContainerSlot): WaitingState {
    const { name, namespace, uid } = this.#deps.pod().metadata;
    const pod = `${name}_${namespace}(${uid})`;
    if (slot.waiting?.reason !== 'CrashLoopBackOff') {
      this.#emit(slot, {
        type: 'Warning',
        reason: 'BackOff',
        message: `Back-off restarting failed container ${slot.spec.name} in pod ${pod}`,
      });
    }
    const delay = formatGoDuration(BigInt(Math.round(slot.backOff.currentMs)) * 1_000_000n);
    return {
      reason: 'CrashLoopBackOff',
      message: `back-off ${delay} restarting failed container=${slot.spec.name} pod=${pod}`,
    };
  }

  #announce(slot: ContainerSlot, deviations: readonly string[]): void {
    const { image, name } = slot.spec;
    const normal = (reason: string, message: string): void =>
      this.#emit(slot, { type: 'Normal', reason, message });
    normal('Pulled', `Container image "${image}" already present on machine`);
    normal('Created', `Created container: ${name}`);
    if (slot.container?.exit?.startError === undefined) normal('Started', `Started container ${name}`);
    for (const message of deviations) {
      if (slot.reported.has(message)) continue;
      slot.reported.add(message);
      this.#emit(slot, { type: 'Warning', reason: 'NotHonored', message });
    }
  }

  async #postStart(slot: ContainerSlot): Promise<boolean> {
    const hook = slot.spec.lifecycle?.postStart;
    if (hook === undefined) return true;
    const outcome = await this.#hook(slot, hook, this.#deps.ending);
    if (outcome.isSuccess || outcome.isAbandoned === true) return true;
    this.#emit(slot, {
      type: 'Warning',
      reason: 'FailedPostStartHook',
      message: `PostStartHook failed: ${outcome.message}`,
    });
    await this.stop(slot, { graceMs: this.#graceMs(), message: 'FailedPostStartHook' });
    return false;
  }

  async #preStop(slot: ContainerSlot, hook: ProbeHandler, graceMs: number): Promise<void> {
    const timeout = AbortSignal.timeout(graceMs);
    const outcome = await this.#hook(slot, hook, timeout);
    if (outcome.isSuccess || slot.container?.isRunning !== true) return;
    this.#emit(slot, {
      type: 'Warning',
      reason: 'FailedPreStopHook',
      message: `PreStopHook failed${outcome.isAbandoned === true ? ': it was still running when the grace period ended' : `: ${outcome.message}`}`,
    });
  }

  /** Runs a hook until it ends, the signal aborts or the container is gone. */
  async #hook(slot: ContainerSlot, handler: ProbeHandler, signal: AbortSignal): Promise<HookOutcome> {
    const gone = new AbortController();
    void slot.container?.exited.then(() => gone.abort());
    return runHook(handler, (s) => this.#target(slot, s), AbortSignal.any([signal, gone.signal]));
  }

  #startProbes(slot: ContainerSlot): void {
    this.#stopProbes(slot);
    const probes = new ContainerProbes({
      slot,
      attempt: (probe, timeoutMs) => runHandler(probe, this.#target(slot), timeoutMs),
      emit: (details) => this.#emit(slot, details),
      onChange: () => this.#deps.wake(),
      onUnhealthy: (probe, name) => this.#restart(slot, probe, name),
    });
    this.#probes.set(slot, probes);
  }

  #stopProbes(slot: ContainerSlot): void {
    this.#probes.get(slot)?.stop();
    this.#probes.delete(slot);
  }

  #restart(slot: ContainerSlot, probe: Probe, name: string): void {
    if (slot.isStopping) return;
    const grace = probe.terminationGracePeriodSeconds;
    // A failed probe is the failure, also of a container that then ends in peace.
    if (this.#deps.pod().spec.restartPolicy !== 'Never') slot.forceRestart();
    void this.stop(slot, {
      graceMs: grace === undefined ? this.#graceMs() : grace * 1000,
      message: `Container ${slot.spec.name} failed ${name} probe, will be restarted`,
    });
  }

  #graceMs(): number {
    return (this.#deps.pod().spec.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
  }

  #target(slot: ContainerSlot, signal?: AbortSignal): ProbeTarget {
    const { container } = slot;
    return {
      container: slot.spec,
      podIp: this.#deps.podIp(),
      netns: this.#deps.netns,
      exec: (command, timeoutMs) =>
        container === undefined
          ? Promise.reject(new Error('the container is not running'))
          : runInContainer(container, command, timeoutMs, signal),
    };
  }

  #emit(slot: { spec: ContainerSpec; kind?: ContainerSlot['kind'] }, details: EventDetails): void {
    this.#deps.emit({ ...details, fieldPath: fieldPath(slot) });
  }
}

/** The part of a pod an event is about, as `involvedObject.fieldPath` has it. */
function fieldPath({ spec, kind }: { spec: ContainerSpec; kind?: ContainerSlot['kind'] }): string {
  const list =
    kind === 'ephemeral'
      ? 'ephemeralContainers'
      : kind === 'main' || kind === undefined
        ? 'containers'
        : 'initContainers';
  return `spec.${list}{${spec.name}}`;
}
