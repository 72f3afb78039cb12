import { labelSelectorMatches } from '../../../kube/labels.js';
import { pods as podResource } from '../../../kube/resource.js';
import type { Pod } from '../../../kube/types.js';
import { keyOfObject } from '../cache/object-cache.js';
import { type PodDisruptionBudget, podDisruptionBudgets } from '../objects.js';
import { withCondition } from './conditions.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from './controller.js';
import { resolveIntOrPercent } from './int-or-percent.js';
import { isFinished, isReady } from './pod-state.js';
import { writeStatus } from './status-writer.js';

/** Says how many pods of each PodDisruptionBudget may be evicted now; the API server's eviction reads it. */
export function disruptionBudgetController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const budgets = deps.caches.of<PodDisruptionBudget>(podDisruptionBudgets);
  const pods = deps.caches.of<Pod>(podResource);
  budgets.onChange(({ object }) => queue.add(keyOfObject(object)));
  pods.onChange(({ object }) => {
    for (const budget of budgets.inNamespace(object.metadata.namespace ?? '')) queue.add(keyOfObject(budget));
  });
  return {
    name: 'disruption-budget',
    keys: () => budgets.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const budget = budgets.get(namespace, name);
      if (budget === undefined) return;
      const selected = pods
        .inNamespace(namespace)
        .filter((pod) => !isFinished(pod) && labelSelectorMatches(budget.spec.selector, pod.metadata.labels));
      const status = budgetStatus(budget, selected, Date.now());
      await writeStatus(deps.client, { resource: podDisruptionBudgets, cache: budgets }, budget, status);
    },
  };
}

/** Status from the pods the budget selects. */
export function budgetStatus(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  nowMs: number,
): NonNullable<PodDisruptionBudget['status']> {
  const expectedPods = pods.length;
  const currentHealthy = pods.filter(
    (pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined,
  ).length;
  const { minAvailable, maxUnavailable } = budget.spec;
  const desiredHealthy =
    maxUnavailable === undefined
      ? resolveIntOrPercent(minAvailable ?? 1, expectedPods, 'up')
      : Math.max(0, expectedPods - resolveIntOrPercent(maxUnavailable, expectedPods, 'up'));
  const disruptionsAllowed = expectedPods === 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  return {
    ...(budget.metadata.generation === undefined ? {} : { observedGeneration: budget.metadata.generation }),
    expectedPods,
    currentHealthy,
    desiredHealthy,
    disruptionsAllowed,
    conditions: withCondition(
      budget.status?.conditions,
      disruptionsAllowed > 0
        ? { type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods', message: '' }
        : { type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods', message: '' },
      { nowMs },
    ),
  };
}
