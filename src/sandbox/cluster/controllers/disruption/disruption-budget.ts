import { messageOf } from '#base/errors/mesh-error.js';
import { isConflict } from '#base/kube/api-error.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import { pods as podResource } from '#base/kube/resource.js';
import type { Condition, Pod } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import { podDisruptionBudgets } from '#base/kube/resource.js';
import type { PodDisruptionBudget } from '../../objects.js';
import { withCondition } from '../conditions.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { isReady } from '../pod-state.js';
import { writeStatus } from '../status-writer.js';
import { type BudgetDemand, BudgetDemands } from './budget-demand.js';

type BudgetStatus = NonNullable<PodDisruptionBudget['status']>;

/** An evicted pod that is still there after this time is not going away, and counts again. */
const deletionTimeoutMs = 2 * 60_000;

/** Says how many pods of each PodDisruptionBudget may be evicted now; the API server's eviction reads it. */
export function disruptionBudgetController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const budgets = deps.caches.of<PodDisruptionBudget>(podDisruptionBudgets);
  const pods = deps.caches.of<Pod>(podResource);
  const demands = new BudgetDemands(deps);
  const at = { resource: podDisruptionBudgets, cache: budgets };
  budgets.onChange(({ object }) => queue.add(keyOfObject(object)));
  pods.onChange(({ object }) => {
    for (const budget of budgets.inNamespace(object.metadata.namespace ?? '')) queue.add(keyOfObject(budget));
  });
  const warn = (about: PodDisruptionBudget | Pod, reason: string, message: string): void =>
    deps.events.record({ about, type: 'Warning', reason, message });
  const update = async (budget: PodDisruptionBudget): Promise<void> => {
    const selected = pods
      .inNamespace(budget.metadata.namespace ?? '')
      .filter((pod) => labelSelectorMatches(budget.spec.selector, pod.metadata.labels));
    const nowMs = Date.now();
    const demand = await demands.of(budget, selected);
    const { status, overdue, recheckInMs } = budgetStatus(budget, { pods: selected, demand, nowMs });
    const written = await writeStatus(deps.client, at, budget, status);
    const { name, namespace } = budget.metadata;
    for (const pod of overdue)
      warn(pod, 'NotDeleted', `Pod was expected by PDB ${namespace}/${name} to be deleted but it wasn't`);
    if (written !== budget && demand.unmanaged.length > 0)
      warn(
        budget,
        'UnmanagedPods',
        `pods without a controller do not count: ${demand.unmanaged.join(', ')}; set .spec.minAvailable to a number to count them`,
      );
    if (recheckInMs !== undefined) queue.addAfter(keyOfObject(budget), recheckInMs);
  };
  return {
    name: 'disruption-budget',
    keys: () => budgets.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const budget = budgets.get(namespace, name);
      if (budget === undefined) return;
      try {
        await update(budget);
      } catch (error) {
        if (isConflict(error)) throw error;
        // Nothing may be evicted as long as nobody can tell what is needed.
        const message = messageOf(error);
        warn(
          budget,
          'CalculateExpectedPodCountFailed',
          `Failed to calculate the number of expected pods: ${message}`,
        );
        await writeStatus(deps.client, at, budget, failedStatus(budget, message, Date.now()));
      }
    },
  };
}

/**
 * Status from the pods a budget selects and what it demands of them; `overdue` are pods that were
 * evicted but not deleted, and after `recheckInMs` (milliseconds) another one may be.
 */
export function budgetStatus(
  budget: PodDisruptionBudget,
  o: { readonly pods: readonly Pod[]; readonly demand: BudgetDemand; readonly nowMs: number },
): { status: BudgetStatus; overdue: readonly Pod[]; recheckInMs: number | undefined } {
  const { expectedPods, desiredHealthy } = o.demand;
  const staying = o.pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const evicted = staying.flatMap((pod) => {
    const since = budget.status?.disruptedPods?.[pod.metadata.name];
    return since === undefined
      ? []
      : [{ pod, since, leftMs: Date.parse(since) + deletionTimeoutMs - o.nowMs }];
  });
  const leaving = evicted.filter(({ leftMs }) => leftMs >= 0);
  const isLeaving = new Set(leaving.map(({ pod }) => pod));
  const currentHealthy = staying.filter((pod) => isReady(pod) && !isLeaving.has(pod)).length;
  const disruptionsAllowed = expectedPods === 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  const status = {
    ...(budget.metadata.generation === undefined ? {} : { observedGeneration: budget.metadata.generation }),
    expectedPods,
    currentHealthy,
    desiredHealthy,
    disruptionsAllowed,
    disruptedPods: Object.fromEntries(leaving.map(({ pod, since }) => [pod.metadata.name, since])),
    conditions: withAllowed(
      budget,
      { reason: disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods', message: '' },
      { generation: budget.metadata.generation, nowMs: o.nowMs },
    ),
  };
  return {
    status,
    overdue: evicted.filter(({ leftMs }) => leftMs < 0).map(({ pod }) => pod),
    recheckInMs: leaving.length === 0 ? undefined : Math.min(...leaving.map(({ leftMs }) => leftMs)) + 1,
  };
}

function failedStatus(budget: PodDisruptionBudget, message: string, nowMs: number): BudgetStatus {
  const generation = budget.status?.observedGeneration;
  const conditions = withAllowed(budget, { reason: 'SyncFailed', message }, { generation, nowMs });
  return { ...budget.status, disruptionsAllowed: 0, conditions };
}

function withAllowed(
  budget: PodDisruptionBudget,
  { reason, message }: { readonly reason: string; readonly message: string },
  o: { readonly generation: number | undefined; readonly nowMs: number },
): Condition[] {
  const status = reason === 'SufficientPods' ? 'True' : 'False';
  const type = 'DisruptionAllowed';
  const conditions = withCondition(budget.status?.conditions, { type, status, reason, message }, o);
  const { generation } = o;
  if (generation === undefined) return conditions;
  return conditions.map((c) => (c.type === type ? { ...c, observedGeneration: generation } : c));
}
