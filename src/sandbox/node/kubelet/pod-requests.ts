import { parseQuantity } from '../../base/quantity.js';
import type { ContainerSpec, KubeletPod } from '../model/pod.js';

/**
 * What a pod occupies of a resource: its containers and sidecars together, or what an
 * init container needs beside the sidecars that started before it, if that is more.
 */
export function podRequest({ spec }: KubeletPod, resource: string): number {
  const of = (c: ContainerSpec): number => parseQuantity(c.resources?.requests?.[resource]) ?? 0;
  let sidecars = 0;
  let starting = 0;
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars += of(container);
    else starting = Math.max(starting, sidecars + of(container));
  }
  const running = spec.containers.reduce((total, c) => total + of(c), sidecars);
  return Math.max(running, starting) + (parseQuantity(spec.overhead?.[resource]) ?? 0);
}
