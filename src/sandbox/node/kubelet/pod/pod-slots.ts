import type { ContainerStatus, Pod } from '../../model/pod.js';
import { ContainerSlot } from '../container/container-slot.js';

/** The slots of a pod in start order, continuing what an earlier kubelet left in its status. */
export function makeSlots(pod: Pod, now = new Date()): ContainerSlot[] {
  const old = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const inits = (pod.spec.initContainers ?? []).map(
    (spec) => new ContainerSlot(spec, spec.restartPolicy === 'Always' ? 'sidecar' : 'init'),
  );
  const mains = pod.spec.containers.map((spec) => new ContainerSlot(spec, 'main'));
  const slots = [...inits, ...mains];
  if (inits.length > 0) for (const slot of slots) slot.waiting = { reason: 'PodInitializing' };
  for (const slot of slots) {
    const status = old.find((each) => each.name === slot.spec.name);
    slot.adopt(status, { isFinal: isFinal(pod, slot, status), now });
  }
  return slots;
}

/**
 * Whether a container that ended, or was lost with its machine, stays so on the next boot. Init containers
 * that did their work do it again, in the pod's new network and with its new volumes in memory.
 */
function isFinal(pod: Pod, slot: ContainerSlot, status: ContainerStatus | undefined): boolean {
  const policy = pod.spec.restartPolicy ?? 'Always';
  if (slot.kind === 'sidecar' || policy === 'Always') return false;
  const isSuccess = status?.state.terminated?.exitCode === 0;
  if (slot.kind === 'init') return policy === 'Never' && !isSuccess;
  return policy === 'Never' || isSuccess;
}

/** Whether a container that is not running should be, by the pod's restart policy. */
export function shouldRun(pod: Pod, slot: ContainerSlot): boolean {
  const { terminated } = slot;
  if (terminated === undefined || slot.kind === 'sidecar') return true;
  const policy = pod.spec.restartPolicy ?? 'Always';
  if (slot.kind === 'init') return terminated.exitCode !== 0 && policy !== 'Never';
  return policy === 'Always' || (policy === 'OnFailure' && terminated.exitCode !== 0);
}
