import type { ContainerSpec, KubeletPod } from '../../model/pod.js';
import { ContainerSlot, type SlotKind } from '../container/container-slot.js';

/**
 * The slots of a pod in start order, continuing what an earlier kubelet left in its
 * status: the pod's sandbox is new, so init containers run again unless all work is over.
 */
export function makeSlots(pod: KubeletPod, now = new Date()): ContainerSlot[] {
  const old = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ];
  const slots = specsOf(pod).map(([spec, kind]) => new ContainerSlot(spec, kind));
  const hasInit = slots.some((slot) => slot.kind === 'init' || slot.kind === 'sidecar');
  for (const slot of slots) {
    slot.adopt(
      old.find((status) => status.name === slot.spec.name),
      now,
    );
  }
  const isOver = isWorkOver(pod, slots);
  for (const slot of slots) {
    if (slot.kind === 'init' && !isOver) slot.forgetEnd();
    slot.waiting =
      isOver || !shouldRun(pod, slot)
        ? undefined
        : { reason: hasInit ? 'PodInitializing' : 'ContainerCreating' };
  }
  return slots;
}

/** Takes over changed specs (images) and ephemeral containers that have been added. */
export function updateSlots(slots: ContainerSlot[], pod: KubeletPod): void {
  for (const [spec, kind] of specsOf(pod)) {
    const slot = slots.find((s) => s.spec.name === spec.name);
    if (slot !== undefined) slot.spec = spec;
    else slots.push(new ContainerSlot(spec, kind));
  }
}

function specsOf(pod: KubeletPod): [spec: ContainerSpec, kind: SlotKind][] {
  return [
    ...(pod.spec.initContainers ?? []).map((spec): [ContainerSpec, SlotKind] => [
      spec,
      spec.restartPolicy === 'Always' ? 'sidecar' : 'init',
    ]),
    ...pod.spec.containers.map((spec): [ContainerSpec, SlotKind] => [spec, 'main']),
    ...(pod.spec.ephemeralContainers ?? []).map((spec): [ContainerSpec, SlotKind] => [spec, 'ephemeral']),
  ];
}

/** Whether a container that is not running should be, by the pod's restart policy. */
export function shouldRun(pod: KubeletPod, slot: ContainerSlot): boolean {
  const { terminated } = slot;
  if (terminated === undefined || slot.kind === 'sidecar' || slot.isRestartForced) return true;
  if (slot.kind === 'ephemeral') return false;
  const policy = pod.spec.restartPolicy ?? 'Always';
  if (slot.kind === 'init') return terminated.exitCode !== 0 && policy !== 'Never';
  return policy === 'Always' || (policy === 'OnFailure' && terminated.exitCode !== 0);
}

/** Nothing is left to do: the containers have ended for good, or an init container has failed for good. */
export function isWorkOver(pod: KubeletPod, slots: readonly ContainerSlot[]): boolean {
  const hasEnded = (slot: ContainerSlot): boolean => !slot.isRunning && !shouldRun(pod, slot);
  if (slots.some((slot) => slot.kind === 'init' && hasEnded(slot) && slot.terminated?.exitCode !== 0))
    return true;
  return slots.every((slot) => slot.kind !== 'main' || hasEnded(slot));
}

/** Every init container has done its work, and sidecars have started. */
export function isInitialized(slots: readonly ContainerSlot[]): boolean {
  return slots.every(
    (s) =>
      (s.kind !== 'init' || s.terminated?.exitCode === 0) &&
      (s.kind !== 'sidecar' || (s.isRunning && s.isStarted)),
  );
}
