import { timestamp } from '../../../base/timestamp.js';
import type { ContainerSpec, EphemeralContainerSpec } from '../../model/pod.js';
import type {
  KubeletContainerState,
  KubeletContainerStatus,
  TerminatedState,
} from '../../model/pod-status.js';
import type { RunningContainer } from '../../runtime/container.js';
import { BackOff } from '../back-off.js';

export type SlotKind = 'init' | 'sidecar' | 'main' | 'ephemeral';

export interface WaitingState {
  readonly reason: string;
  readonly message?: string;
}

/** What a runtime that has lost a container says about its end (containerd's exit code and reason). */
const lostContainer = { exitCode: 255, reason: 'Unknown' };

/**
 * One container of a pod over all its instances. waiting -> running -> terminated,
 * and around again as the restart policy says. Only the pod's worker changes it.
 */
export class ContainerSlot {
  spec: ContainerSpec | EphemeralContainerSpec;
  readonly kind: SlotKind;
  readonly backOff = new BackOff();
  /** Between attempts that did not get as far as an instance; short, for an image may just have been loaded. */
  readonly startBackOff = new BackOff({ initialMs: 1_000, maxMs: 15_000 });
  /** The running instance, or the last one (whose log is still there). */
  container: RunningContainer | undefined;
  restartCount = 0;
  waiting: WaitingState | undefined = { reason: 'ContainerCreating' };
  terminated: TerminatedState | undefined;
  lastTerminated: TerminatedState | undefined;
  imageId = '';
  /** Startup probe passed (or there is none) since the instance began. */
  isStarted = false;
  isReady = false;
  /** Before this instant no restart is attempted. */
  notBeforeMs = 0;
  /** Why the last attempt to start an instance failed; cleared by a start that worked. */
  startFailure: WaitingState | undefined;
  /** Being stopped for good or because a probe failed. */
  isStopping = false;
  /** An instance existed, under this kubelet or an earlier one. */
  hasRun = false;
  /** Problems already said in an event, to say them once. */
  readonly reported = new Set<string>();
  /** The image {@link container} was started from. */
  #startedImage: string | undefined;
  #isRestartForced = false;
  #adopted: Pick<KubeletContainerStatus, 'containerID' | 'image'> | undefined;

  constructor(spec: ContainerSpec, kind: SlotKind) {
    this.spec = spec;
    this.kind = kind;
  }

  get isRunning(): boolean {
    return this.container?.isRunning === true;
  }

  /** The pod names another image now than when the instance was started. */
  get isOutdated(): boolean {
    return this.#startedImage !== undefined && this.#startedImage !== this.spec.image;
  }

  /** Restarts whatever the pod's restart policy makes of its exit code. */
  get isRestartForced(): boolean {
    return this.#isRestartForced;
  }

  /** Number of the newest instance; -1 when there was none. */
  get lastAttempt(): number {
    return this.hasRun ? this.restartCount : -1;
  }

  /** Number of the instance that would start next: names its log file. */
  get nextAttempt(): number {
    return this.hasRun ? this.restartCount + 1 : this.restartCount;
  }

  /**
   * Continues what an earlier kubelet published. An instance that ran then has died
   * with its node, without a word.
   */
  adopt(status: KubeletContainerStatus | undefined, now: Date): void {
    if (status === undefined) return;
    const { state, lastState } = status;
    this.hasRun = status.containerID !== undefined && status.containerID !== '';
    this.restartCount = status.restartCount;
    this.imageId = status.imageID;
    this.#adopted = status;
    const { containerID } = status;
    this.terminated =
      state.running === undefined
        ? (state.terminated ?? lastState.terminated)
        : {
            ...lostContainer,
            startedAt: state.running.startedAt,
            finishedAt: timestamp(now),
            ...(containerID === undefined ? {} : { containerID }),
          };
    if (state.waiting === undefined) this.lastTerminated = lastState.terminated;
  }

  /** Forgets the outcome, so that the container runs again: its pod has a new sandbox. */
  forgetEnd(): void {
    if (this.terminated !== undefined) this.lastTerminated = this.terminated;
    this.terminated = undefined;
  }

  /** Lets a next instance begin however this one ends, when its back-off is over. */
  forceRestart(): void {
    this.#isRestartForced = true;
  }

  /** Lets the next instance begin at once and whatever the restart policy says. */
  restartNow(): void {
    this.forceRestart();
    this.notBeforeMs = 0;
  }

  /** Takes over a new instance, which was started from `image`. */
  began(container: RunningContainer, image: string): void {
    if (this.terminated !== undefined) this.lastTerminated = this.terminated;
    this.restartCount = this.nextAttempt;
    this.hasRun = true;
    this.container = container;
    this.#startedImage = image;
    this.#isRestartForced = false;
    this.imageId = container.config.image.id;
    this.terminated = undefined;
    this.waiting = undefined;
    this.startFailure = undefined;
    this.startBackOff.reset();
    this.isStopping = false;
  }

  /** Records the end of the instance. */
  ended(state: TerminatedState): void {
    this.terminated = state;
    this.isReady = false;
    this.isStarted = false;
  }

  status(runtimeName: string): KubeletContainerStatus {
    const { container } = this;
    const isInit = this.kind === 'init';
    const containerID =
      container === undefined ? this.#adopted?.containerID : `${runtimeName}://${container.config.id}`;
    const mounts = (this.spec.volumeMounts ?? []).map(({ name, mountPath, readOnly }) => ({
      name,
      mountPath,
      ...(readOnly === true ? { readOnly, recursiveReadOnly: 'Disabled' } : {}),
    }));
    return {
      name: this.spec.name,
      state: this.#state(),
      lastState: this.#lastState(),
      ready: isInit ? this.terminated?.exitCode === 0 : this.isRunning && this.isReady,
      restartCount: this.restartCount,
      image: container?.config.image.reference ?? this.#adopted?.image ?? this.spec.image,
      imageID: this.imageId,
      ...(containerID === undefined ? {} : { containerID }),
      ...(this.kind === 'ephemeral' ? {} : { started: this.isRunning && (isInit || this.isStarted) }),
      ...(mounts.length === 0 ? {} : { volumeMounts: mounts }),
    };
  }

  #state(): KubeletContainerState {
    if (this.isRunning && this.container !== undefined)
      return { running: { startedAt: timestamp(this.container.startedAt) } };
    if (this.waiting !== undefined) return { waiting: this.waiting };
    if (this.terminated !== undefined) return { terminated: this.terminated };
    return { waiting: { reason: 'PodInitializing' } };
  }

  #lastState(): KubeletContainerState {
    // While it waits for its restart, the ended instance is the last state.
    const last =
      this.waiting === undefined || this.isRunning
        ? this.lastTerminated
        : (this.terminated ?? this.lastTerminated);
    return last === undefined ? {} : { terminated: last };
  }
}
