import { parseQuantity } from '../../base/quantity.js';
import type { KubeletPod, ResourceList } from '../model/pod.js';

/** Quality of service class (core/v1, PodQOSClass), from cpu and memory alone. */
export function qosClass(pod: KubeletPod): string {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const names = ['cpu', 'memory'] as const;
  const value = (map: ResourceList | undefined, name: string): number => parseQuantity(map?.[name]) ?? 0;
  const isBestEffort = all.every((c) =>
    names.every((n) => value(c.resources?.limits, n) === 0 && value(c.resources?.requests, n) === 0),
  );
  if (isBestEffort) return 'BestEffort';
  const isGuaranteed = all.every((c) =>
    names.every((n) => {
      const limit = value(c.resources?.limits, n);
      return (
        limit > 0 && (c.resources?.requests?.[n] === undefined || value(c.resources.requests, n) === limit)
      );
    }),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
