import { join } from 'node:path';
import { parseQuantity } from '../../../base/quantity.js';
import type { NodeHost } from '../../host/node-host.js';
import type { KubeletPod } from '../../model/pod.js';
import { diskUsage } from '../../volume/empty-dir.js';
import type { PodVolumes } from '../../volume/pod-volumes.js';
import { podLogFolder, writtenFolder } from '../container/container-files.js';
import type { ContainerSlot } from '../container/container-slot.js';

const resource = 'ephemeral-storage';

/** Whether a pod has limits of what it may have on its node's disk. */
export function hasStorageLimit({ spec }: KubeletPod): boolean {
  return (
    (spec.volumes ?? []).some((volume) => volume.emptyDir?.sizeLimit !== undefined) ||
    spec.containers.some((container) => container.resources?.limits?.[resource] !== undefined)
  );
}

/**
 * Why a pod is to be evicted for what it has on its node's disk, in the words of kubelet:
 * emptyDir volumes, then the pod as a whole, then its containers with their logs.
 */
export async function storageExcess(
  pod: KubeletPod,
  slots: readonly ContainerSlot[],
  { host, volumes }: { host: NodeHost; volumes: PodVolumes },
): Promise<string | undefined> {
  const excess = await volumes.overLimit(pod);
  if (excess !== undefined) return excess;
  const limits = new Map(
    pod.spec.containers.flatMap(({ name, resources }) => {
      const text = resources?.limits?.[resource];
      return text === undefined ? [] : [[name, { text, bytes: parseQuantity(text) ?? 0 }] as const];
    }),
  );
  if (limits.size === 0) return undefined;
  const used = new Map<string, number>();
  for (const { spec, container } of slots) {
    const logs = await diskUsage(join(host.rootfs, podLogFolder(pod), spec.name));
    const written = container === undefined ? 0 : await diskUsage(writtenFolder(host, container));
    used.set(spec.name, logs + written);
  }
  const total = [...used.values()].reduce((sum, bytes) => sum + bytes, await volumes.usage(pod));
  const allowed = [...limits.values()];
  if (total > allowed.reduce((sum, { bytes }) => sum + bytes, 0)) {
    const text =
      allowed.length === 1 ? allowed[0]?.text : `${allowed.reduce((sum, { bytes }) => sum + bytes, 0)}`;
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `;
  }
  for (const [name, { text, bytes }] of limits)
    if (bytes > 0 && (used.get(name) ?? 0) > bytes)
      return `Container ${name} exceeded its local ephemeral storage limit "${text}". `;
  return undefined;
}
