import type { EphemeralContainerSpec, KubeletPod } from '../../model/pod.js';
import type { ContainerKeeper } from '../container/container-keeper.js';
import type { ContainerSlot } from '../container/container-slot.js';
import type { PodSetup } from './pod-setup.js';
import { isInitialized, shouldRun } from './pod-slots.js';

export interface PodContainersDeps {
  readonly slots: readonly ContainerSlot[];
  readonly keeper: ContainerKeeper;
  readonly setup: PodSetup;
  readonly pod: () => KubeletPod;
  /** A container has ended while the pod is being stopped: its status should be seen. */
  readonly onStopped: () => void;
}

const graceDefaultSeconds = 30;
/** Nothing has to be looked at before something changes. */
const idleMs = 60_000;
const retryMs = 1_000;

/** The containers of one pod in their order: up one after the other, down the other way round. */
export class PodContainers {
  readonly #o: PodContainersDeps;

  constructor(o: PodContainersDeps) {
    this.#o = o;
  }

  /** What the pod's spec gives its containers to end, in milliseconds. */
  get graceMs(): number {
    return (this.#o.pod().spec.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;
  }

  /** Accounts for containers that have ended. */
  async collect(): Promise<void> {
    for (const slot of this.#o.slots) await this.#o.keeper.collectExit(slot);
  }

  /** Starts what should run and can; returns after how many milliseconds to look again. */
  async run(): Promise<number> {
    const { slots } = this.#o;
    let waitMs = idleMs;
    for (const slot of slots.filter((s) => s.kind === 'ephemeral'))
      waitMs = Math.min(waitMs, await this.#keep(slot));
    for (const slot of slots) {
      if (slot.kind === 'ephemeral') continue;
      // Once containers run, a sidecar that restarts holds nothing back.
      const hasBegun = slots.some((s) => s.kind === 'main' && s.container !== undefined);
      if (slot.kind === 'main' && !hasBegun && !isInitialized(slots)) break;
      waitMs = Math.min(waitMs, await this.#keep(slot));
      // The next init container waits for this one's end, or for a sidecar's start.
      if (slot.kind !== 'main' && !hasBegun && !isInitialized([slot])) break;
    }
    return waitMs;
  }

  /** Containers first, then sidecars in reverse order, all within one grace period. */
  async stop(graceMs: number): Promise<void> {
    const { slots, keeper, onStopped } = this.#o;
    const deadlineMs = Date.now() + graceMs;
    const stop = async (slot: ContainerSlot): Promise<void> => {
      await keeper.stop(slot, {
        graceMs: Math.max(0, deadlineMs - Date.now()),
        message: `Stopping container ${slot.spec.name}`,
      });
      slot.waiting = undefined;
      if (await keeper.collectExit(slot)) onStopped();
    };
    await Promise.all(slots.filter((s) => s.kind !== 'sidecar').map(stop));
    for (const slot of slots.filter((s) => s.kind === 'sidecar').toReversed()) await stop(slot);
  }

  /** Ends every container at once. */
  kill(): void {
    for (const slot of this.#o.slots) slot.container?.signal('SIGKILL');
  }

  /** Keeps one container as it should be; returns when to look again. */
  async #keep(slot: ContainerSlot): Promise<number> {
    const { keeper, setup } = this.#o;
    // It may have ended since this step began, while others were started.
    await keeper.collectExit(slot);
    if (slot.isRunning) {
      if (slot.kind === 'init' || slot.kind === 'ephemeral' || !slot.isOutdated) return idleMs;
      await keeper.stop(slot, {
        graceMs: this.graceMs,
        message: `Container ${slot.spec.name} definition changed, will be restarted`,
      });
      await keeper.collectExit(slot);
      slot.restartNow();
    }
    if (!shouldRun(this.#o.pod(), slot)) {
      slot.waiting = undefined;
      return idleMs;
    }
    const { sandbox, hostname, volumes, podMounts } = setup;
    if (sandbox === undefined) return retryMs;
    const backOffMs = await keeper.ensureStarted(slot, {
      pod: this.#o.pod(),
      sandbox,
      targetPid: this.#targetPid(slot),
      hostname,
      volumes,
      podMounts,
      context: setup.context(),
    });
    if (backOffMs > 0) return backOffMs;
    return slot.isRunning ? idleMs : 0;
  }

  #targetPid(slot: ContainerSlot): number | undefined {
    const { targetContainerName = '' }: Partial<EphemeralContainerSpec> = slot.spec;
    if (slot.kind !== 'ephemeral' || targetContainerName === '') return undefined;
    return this.#o.slots.find((s) => s.spec.name === targetContainerName)?.container?.initPid;
  }
}
