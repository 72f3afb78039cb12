import type { ContainerSpec, ContainerState, ContainerStatus, TerminatedState } from '../../model/pod.js';
import type { ProbeWorker } from '../../probe/probe-worker.js';
import type { Container } from '../../runtime/container.js';
import { BackOff } from '../back-off.js';

export type SlotKind = 'init' | 'sidecar' | 'main';

/**
 * One container of a pod over all its instances. waiting -> running -> terminated,
 * and around again as the restart policy says. Only the pod's worker changes it.
 */
export class ContainerSlot {
  readonly spec: ContainerSpec;
  readonly kind: SlotKind;
  readonly backOff = new BackOff();
  /** The running instance, or the last one (whose log is still there). */
  container: Container | undefined;
  /** The instance before {@link container}. */
  previous: Container | undefined;
  restartCount = 0;
  waiting: { reason: string; message?: string } | undefined = { reason: 'ContainerCreating' };
  terminated: TerminatedState | undefined;
  lastTerminated: TerminatedState | undefined;
  imageId = '';
  /** Startup probe passed (or there is none) since the instance began. */
  isStarted = false;
  isReady = false;
  /** Before this instant no restart is attempted. */
  notBeforeMs = 0;
  /** Why the last attempt to start an instance failed; cleared by a start that worked. */
  startFailure: { reason: string; message: string } | undefined;
  /** Being stopped for good or because a probe failed. */
  isStopping = false;
  /** Problems already said in an event, to say them once. */
  readonly reported = new Set<string>();
  #probes: ProbeWorker[] = [];
  /** An instance ran under an earlier kubelet. */
  #hadEarlierRun = false;
  /** The last instance's id, when that was under an earlier kubelet. */
  #endedId: string | undefined;

  constructor(spec: ContainerSpec, kind: SlotKind) {
    this.spec = spec;
    this.kind = kind;
  }

  get isRunning(): boolean {
    return this.container?.isRunning === true;
  }

  /**
   * Continues where an earlier kubelet on this node left off. What ran then was lost with the machine; when it
   * is `final`, so is its end.
   */
  adopt(status: ContainerStatus | undefined, { isFinal, now }: { isFinal: boolean; now: Date }): void {
    if (status === undefined) return;
    this.restartCount = status.restartCount;
    this.imageId = status.imageID;
    this.#hadEarlierRun = status.containerID !== undefined && status.containerID !== '';
    const end = status.state.terminated ?? lostInstance(status, now);
    this.lastTerminated = end ?? status.lastState.terminated;
    if (end === undefined || !isFinal) return;
    this.lastTerminated = status.lastState.terminated;
    this.terminated = end;
    this.waiting = undefined;
    this.#endedId = status.containerID;
  }

  /** Number of the next instance, counted from 0. */
  get nextAttempt(): number {
    return this.restartCount + (this.container !== undefined || this.#hadEarlierRun ? 1 : 0);
  }

  addProbe(worker: ProbeWorker): void {
    this.#probes.push(worker);
  }

  stopProbes(): void {
    for (const probe of this.#probes.splice(0)) probe.stop();
  }

  /** Takes over a new instance. */
  began(container: Container): void {
    if (this.terminated !== undefined) this.lastTerminated = this.terminated;
    this.restartCount = this.nextAttempt;
    this.#hadEarlierRun = false;
    this.previous = this.container;
    this.container = container;
    this.terminated = undefined;
    this.waiting = undefined;
    this.startFailure = undefined;
    this.isStopping = false;
  }

  /** Records the end of the instance. */
  ended(state: TerminatedState): void {
    this.stopProbes();
    this.terminated = state;
    this.isReady = false;
    this.isStarted = false;
  }

  status(runtimeName: string): ContainerStatus {
    const { container } = this;
    const started = this.kind === 'init' ? this.isRunning : this.isRunning && this.isStarted;
    return {
      name: this.spec.name,
      state: this.#state(),
      lastState: this.#lastState(),
      ready: this.kind === 'init' ? this.terminated?.exitCode === 0 : this.isRunning && this.isReady,
      restartCount: this.restartCount,
      image: container?.config.image.reference ?? this.spec.image,
      imageID: this.imageId,
      ...this.#containerId(runtimeName),
      started,
    };
  }

  #containerId(runtimeName: string): { containerID?: string } {
    if (this.container !== undefined) return { containerID: `${runtimeName}://${this.container.config.id}` };
    return this.#endedId === undefined ? {} : { containerID: this.#endedId };
  }

  #state(): ContainerState {
    if (this.isRunning && this.container !== undefined)
      return { running: { startedAt: seconds(this.container.startedAt) } };
    if (this.waiting !== undefined) return { waiting: this.waiting };
    if (this.terminated !== undefined) return { terminated: this.terminated };
    return { waiting: { reason: 'PodInitializing' } };
  }

  #lastState(): ContainerState {
    // While it waits for its restart, the ended instance is the last state.
    const last = this.waiting === undefined ? this.lastTerminated : (this.terminated ?? this.lastTerminated);
    return last === undefined ? {} : { terminated: last };
  }
}

/** The end of an instance nobody saw end: the machine went down. Container runtimes report it so after a reboot. */
function lostInstance(status: ContainerStatus, now: Date): TerminatedState | undefined {
  const { running } = status.state;
  if (running === undefined) return undefined;
  return {
    exitCode: 255,
    reason: 'Unknown',
    startedAt: running.startedAt,
    finishedAt: seconds(now),
    ...(status.containerID === undefined ? {} : { containerID: status.containerID }),
  };
}

/** Kubernetes' time format: RFC 3339 without fractions. */
export function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
