import { messageOf } from '../../../../errors/mesh-error.js';
import { ImageError } from '../../image/find-image.js';
import type { ContainerSpec, Pod, Probe, ProbeHandler } from '../../model/pod.js';
import { ProbeWorker } from '../../probe/probe-worker.js';
import { type ProbeOutcome, runHandler } from '../../probe/prober.js';
import { ContainerConfigError } from '../../runtime/environment.js';
import { VolumeError } from '../../volume/volume-content.js';
import { runInContainer } from './container-process.js';
import { type ContainerSlot, seconds } from './container-slot.js';
import {
  removeContainer,
  type StartDeps,
  type StartRequest,
  startContainer,
  terminationMessage,
} from './container-starter.js';
import type { EventDetails } from '../event-recorder.js';

export interface KeeperDeps extends StartDeps {
  /** The node's network namespace, where probes come from. */
  readonly netns: number;
  readonly emit: (details: EventDetails) => void;
  /** The pod's worker should look again. */
  readonly wake: () => void;
  readonly pod: () => Pod;
  readonly podIp: () => string;
}

const startRetryMinMs = 1_000;
const startRetryMaxMs = 15_000;
const hookTimeoutMs = 30_000;
const graceDefaultSeconds = 30;

/** Starts, probes, stops and accounts for the containers of one pod; when to do so is the worker's decision. */
export class ContainerKeeper {
  readonly #deps: KeeperDeps;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Starts an instance if its back-off allows; returns how long to wait otherwise (0: started or tried). */
  async ensureStarted(slot: ContainerSlot, request: Omit<StartRequest, 'spec' | 'attempt'>): Promise<number> {
    const waitMs = slot.notBeforeMs - Date.now();
    if (waitMs > 0) {
      slot.waiting =
        slot.startFailure === undefined
          ? this.#crashLoop(slot)
          : backingOff(slot.startFailure, slot.spec.image);
      return waitMs;
    }
    const attempt = slot.nextAttempt;
    try {
      const started = await startContainer({ ...request, spec: slot.spec, attempt }, this.#deps);
      const { container } = started;
      slot.imageId = container.config.image.id;
      slot.began(container);
      this.#announce(slot, started.deviation);
      void container.exited.then(() => this.#deps.wake());
      if (!container.isRunning) return 0;
      if (!(await this.#postStart(slot))) return 0;
      this.#startProbes(slot);
      return 0;
    } catch (error) {
      const failure = startFailure(error, slot.spec.image);
      const isRepeated = slot.startFailure !== undefined;
      slot.startFailure = failure;
      slot.waiting = isRepeated ? backingOff(failure, slot.spec.image) : failure;
      const delayMs = Math.min(Math.max(slot.backOff.next(), startRetryMinMs), startRetryMaxMs);
      slot.notBeforeMs = Date.now() + delayMs;
      this.#emitStartFailure(slot, failure, isRepeated);
      return delayMs;
    }
  }

  /** Accounts for an instance that has ended since the last look; returns whether it had. */
  async collectExit(slot: ContainerSlot): Promise<boolean> {
    const { container } = slot;
    const exit = container?.exit;
    if (container === undefined || exit === undefined || slot.terminated !== undefined) return false;
    const text = exit.startError ?? (await terminationMessage(this.#deps.host, container));
    slot.ended({
      exitCode: exit.exitCode,
      reason: exit.startError !== undefined ? 'StartError' : exit.exitCode === 0 ? 'Completed' : 'Error',
      ...(text === undefined ? {} : { message: text }),
      startedAt: seconds(container.startedAt),
      finishedAt: seconds(exit.finishedAt),
      containerID: `bubblewrap://${container.config.id}`,
    });
    if (exit.startError !== undefined)
      this.#emit(slot, { type: 'Warning', reason: 'Failed', message: `Error: ${exit.startError}` });
    const ranForMs = exit.finishedAt.getTime() - container.startedAt.getTime();
    slot.notBeforeMs = exit.finishedAt.getTime() + slot.backOff.next(ranForMs);
    await removeContainer(this.#deps.host, container);
    return true;
  }

  /** Stops an instance: preStop hook, SIGTERM, and SIGKILL when the grace period is over. */
  async stop(slot: ContainerSlot, { graceMs, reason }: { graceMs: number; reason: string }): Promise<void> {
    const { container } = slot;
    if (container === undefined || !container.isRunning) return;
    slot.stopProbes();
    slot.isStopping = true;
    this.#emit(slot, { type: 'Normal', reason: 'Killing', message: reason });
    const deadlineMs = Date.now() + graceMs;
    const preStop = slot.spec.lifecycle?.preStop;
    if (preStop !== undefined && graceMs > 0)
      await this.#hook(slot, preStop, { name: 'PreStop', timeoutMs: graceMs });
    await container.stop(Math.max(0, deadlineMs - Date.now()));
  }

  /** The words kubelet uses, which people and tools search for. */
  #emitStartFailure(
    slot: ContainerSlot,
    { reason, message }: { reason: string; message: string },
    isRepeated: boolean,
  ): void {
    const { image } = slot.spec;
    const say = (type: 'Normal' | 'Warning', eventReason: string, text: string): void =>
      this.#emit(slot, { type, reason: eventReason, message: text });
    const isPull = reason === 'ErrImagePull';
    if (isPull && isRepeated) say('Normal', 'BackOff', `Back-off pulling image "${image}"`);
    else if (isPull) {
      say('Normal', 'Pulling', `Pulling image "${image}"`);
      say('Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
    } else if (reason === 'ErrImageNeverPull') say('Warning', reason, message);
    else if (reason === 'InvalidImageName') say('Warning', 'InspectFailed', message);
    const isOfImage = isPull || reason === 'ErrImageNeverPull' || reason === 'InvalidImageName';
    say('Warning', 'Failed', `Error: ${isOfImage ? (slot.waiting?.reason ?? reason) : message}`);
  }

  #crashLoop(slot: ContainerSlot): { reason: string; message: string } {
    const { metadata } = this.#deps.pod();
    const message = `back-off restarting failed container=${slot.spec.name} pod=${metadata.name}_${metadata.namespace}(${metadata.uid})`;
    if (slot.waiting?.reason !== 'CrashLoopBackOff') {
      this.#emit(slot, {
        type: 'Warning',
        reason: 'BackOff',
        message: `Back-off restarting failed container ${slot.spec.name} in pod ${metadata.name}_${metadata.namespace}(${metadata.uid})`,
      });
    }
    return { reason: 'CrashLoopBackOff', message };
  }

  #announce(slot: ContainerSlot, deviation: string | undefined): void {
    const { image, name } = slot.spec;
    const normal = (reason: string, message: string): void =>
      this.#emit(slot, { type: 'Normal', reason, message });
    normal('Pulled', `Container image "${image}" already present on machine`);
    normal('Created', `Created container: ${name}`);
    normal('Started', `Started container ${name}`);
    if (deviation !== undefined && !slot.reported.has(deviation)) {
      slot.reported.add(deviation);
      this.#emit(slot, { type: 'Warning', reason: 'UserNotHonoured', message: deviation });
    }
  }

  async #postStart(slot: ContainerSlot): Promise<boolean> {
    const hook = slot.spec.lifecycle?.postStart;
    if (hook === undefined) return true;
    const outcome = await this.#hook(slot, hook, { name: 'PostStart', timeoutMs: hookTimeoutMs });
    if (outcome.isSuccess) return true;
    await this.stop(slot, { graceMs: 0, reason: 'FailedPostStartHook' });
    return false;
  }

  async #hook(
    slot: ContainerSlot,
    handler: ProbeHandler,
    { name, timeoutMs }: { name: string; timeoutMs: number },
  ): Promise<ProbeOutcome> {
    const outcome =
      handler.sleep === undefined
        ? await this.#attempt(slot, handler, timeoutMs)
        : await this.#sleep(slot, Math.min(handler.sleep.seconds * 1000, timeoutMs));
    if (!outcome.isSuccess)
      this.#emit(slot, {
        type: 'Warning',
        reason: `Failed${name}Hook`,
        message: `${name}Hook failed: ${outcome.message}`,
      });
    return outcome;
  }

  async #sleep(slot: ContainerSlot, ms: number): Promise<ProbeOutcome> {
    await Promise.race([
      slot.container?.exited,
      new Promise((resolve) => {
        setTimeout(resolve, ms).unref();
      }),
    ]);
    return { isSuccess: true, message: '' };
  }

  #startProbes(slot: ContainerSlot): void {
    const { startupProbe } = slot.spec;
    if (slot.kind === 'init') return;
    const begin = (): void => {
      slot.isStarted = true;
      slot.isReady = slot.spec.readinessProbe === undefined;
      this.#startLongProbes(slot);
      this.#deps.wake();
    };
    if (startupProbe === undefined) {
      begin();
      return;
    }
    this.#probe(slot, startupProbe, {
      name: 'Startup',
      onVerdict: (isSuccess) => {
        if (!isSuccess) this.#restart(slot, startupProbe, 'startup');
        else if (!slot.isStarted) {
          slot.stopProbes();
          begin();
        }
      },
    });
  }

  #startLongProbes(slot: ContainerSlot): void {
    const { livenessProbe, readinessProbe } = slot.spec;
    if (readinessProbe !== undefined) {
      this.#probe(slot, readinessProbe, {
        name: 'Readiness',
        onVerdict: (isSuccess) => {
          if (slot.isReady === isSuccess) return;
          slot.isReady = isSuccess;
          this.#deps.wake();
        },
      });
    }
    if (livenessProbe !== undefined) {
      this.#probe(slot, livenessProbe, {
        name: 'Liveness',
        onVerdict: (isSuccess) => {
          if (!isSuccess) this.#restart(slot, livenessProbe, 'liveness');
        },
      });
    }
  }

  #probe(
    slot: ContainerSlot,
    probe: Probe,
    { name, onVerdict }: { name: string; onVerdict: (isSuccess: boolean) => void },
  ): void {
    slot.addProbe(
      new ProbeWorker({
        probe,
        isEager: name === 'Readiness',
        attempt: (timeoutMs) => this.#attempt(slot, probe, timeoutMs),
        onFailure: (message) =>
          this.#emit(slot, {
            type: 'Warning',
            reason: 'Unhealthy',
            message: `${name} probe failed: ${message}`,
          }),
        onVerdict,
      }),
    );
  }

  #restart(slot: ContainerSlot, probe: Probe, name: string): void {
    if (slot.isStopping) return;
    const grace =
      probe.terminationGracePeriodSeconds ??
      this.#deps.pod().spec.terminationGracePeriodSeconds ??
      graceDefaultSeconds;
    void this.stop(slot, {
      graceMs: grace * 1000,
      reason: `Container ${slot.spec.name} failed ${name} probe, will be restarted`,
    });
  }

  #attempt(slot: ContainerSlot, handler: ProbeHandler, timeoutMs: number): Promise<ProbeOutcome> {
    const { container } = slot;
    return runHandler(
      handler,
      {
        container: slot.spec,
        podIp: this.#deps.podIp(),
        netns: this.#deps.netns,
        exec: (command, execTimeoutMs) =>
          container === undefined
            ? Promise.reject(new Error('the container is not running'))
            : runInContainer(container, command, execTimeoutMs),
      },
      timeoutMs,
    );
  }

  #emit(slot: { spec: ContainerSpec }, details: EventDetails): void {
    this.#deps.emit({ ...details, container: slot.spec.name });
  }
}

function startFailure(error: unknown, image: string): { reason: string; message: string } {
  const message = messageOf(error);
  if (error instanceof ImageError) return { reason: error.reason, message };
  if (error instanceof ContainerConfigError) return { reason: 'CreateContainerConfigError', message };
  if (error instanceof VolumeError) return { reason: 'CreateContainerConfigError', message };
  return { reason: 'CreateContainerError', message: `${image}: ${message}` };
}

function backingOff(
  failure: { reason: string; message: string },
  image: string,
): { reason: string; message: string } {
  if (failure.reason !== 'ErrImagePull') return failure;
  const message = `Back-off pulling image "${image}": ErrImagePull: ${failure.message}`;
  return { reason: 'ImagePullBackOff', message };
}
