import { numberOf, pathOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { LabelSelector } from '../registry/label-selector.js';
import type { ObjectReader } from '../registry/resource.js';

/** The disruption budget that forbids evicting a pod now, if one does. */
export function budgetBlocking(
  pod: KubeObject,
  reader: ObjectReader,
): { name: string; desired: number; current: number } | undefined {
  const phase = pathOf(pod, 'status', 'phase');
  // Pods that do not run, or never ran, disrupt nothing.
  if (phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending') return undefined;
  for (const budget of reader.list('poddisruptionbudgets.policy', pod.metadata.namespace)) {
    const selector = pathOf(budget, 'spec', 'selector');
    if (selector === undefined || !LabelSelector.fromObject(selector).matches(pod.metadata.labels)) continue;
    if ((numberOf(pathOf(budget, 'status', 'disruptionsAllowed')) ?? 0) > 0) continue;
    return {
      name: budget.metadata.name,
      desired: numberOf(pathOf(budget, 'status', 'desiredHealthy')) ?? 0,
      current: numberOf(pathOf(budget, 'status', 'currentHealthy')) ?? 0,
    };
  }
  return undefined;
}
