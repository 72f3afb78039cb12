import { type ApiError, apiError } from '../api-error.js';
import { cloneJson, numberOf, objectOf, valueIn, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import { LabelQuery } from '../registry/label-selector.js';
import type { Operations } from '../registry/operations.js';
import type { ServedResource } from '../registry/resource.js';
import type { DeleteOptions, WriteOptions } from '../registry/write-options.js';
import { withPodCondition } from './binding.js';

const budgets = 'poddisruptionbudgets.policy';
const retryAfterSeconds = 10;
/** Budgets that remember this many evictions are not kept up to date by anybody. */
const disruptedMax = 2000;

/** The disruption budgets that speak for a pod. */
function budgetsOf(operations: Operations, pod: ApiObject): ApiObject[] {
  return operations.reader.list(budgets, pod.metadata.namespace).filter((budget) => {
    const selector = valueIn(budget, 'spec', 'selector');
    return selector !== undefined && LabelQuery.fromObject(selector).matches(pod.metadata.labels);
  });
}

function refused(message: string, retryAfter?: number): ApiError {
  return apiError.tooManyRequests(
    "Cannot evict pod as it would violate the pod's disruption budget.",
    retryAfter,
    [{ reason: 'DisruptionBudget', message }],
  );
}

function isReady(pod: ApiObject): boolean {
  const conditions = valueIn(pod, 'status', 'conditions');
  return (
    Array.isArray(conditions) &&
    conditions.some((c) => valueIn(c, 'type') === 'Ready' && valueIn(c, 'status') === 'True')
  );
}

/** Whether a pod that is not ready may go without asking the budget. */
function isFreeToGo(budget: ApiObject, pod: ApiObject): boolean {
  if (isReady(pod)) return false;
  if (valueIn(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow') return true;
  const current = numberOf(valueIn(budget, 'status', 'currentHealthy')) ?? 0;
  const desired = numberOf(valueIn(budget, 'status', 'desiredHealthy')) ?? 0;
  return current >= desired && desired > 0;
}

/** The budget with one disruption taken for a pod. Throws 429 when it has none left. */
function charged(budget: ApiObject, pod: string): ApiObject {
  const { name, generation } = budget.metadata;
  const status = objectOf(budget.status);
  const disrupted = objectOf(status.disruptedPods);
  if ((numberOf(status.observedGeneration) ?? 0) < (generation ?? 0)) {
    throw refused(`The disruption budget ${name} is still being processed by the server.`, retryAfterSeconds);
  }
  const allowed = numberOf(status.disruptionsAllowed) ?? 0;
  if (allowed < 0)
    throw apiError.forbidden(
      { group: 'policy', plural: 'poddisruptionbudgets' },
      name,
      'pdb disruptions allowed is negative',
    );
  if (Object.keys(disrupted).length > disruptedMax) {
    throw apiError.forbidden(
      { group: 'policy', plural: 'poddisruptionbudgets' },
      name,
      'DisruptedPods map too big - too many evictions not confirmed by PDB controller',
    );
  }
  if (allowed === 0) {
    const desired = numberOf(status.desiredHealthy) ?? 0;
    const current = numberOf(status.currentHealthy) ?? 0;
    throw refused(`The disruption budget ${name} needs ${desired} healthy pods and has ${current} currently`);
  }
  const next = cloneJson(budget);
  next.status = {
    ...status,
    disruptionsAllowed: allowed - 1,
    disruptedPods: { ...disrupted, [pod]: timestamp() },
  };
  return next;
}

/** Evicts a pod if its disruption budget lets it go. Throws 400, 404, 409, 429 and 500. */
export async function evictPod(
  operations: Operations,
  pods: ServedResource,
  target: { readonly namespace: string | undefined; readonly name: string },
  eviction: ApiObject,
  options: WriteOptions,
): Promise<void> {
  if (eviction.metadata.name !== target.name) {
    throw apiError.badRequest('name in URL does not match name in Eviction object');
  }
  const asked = objectOf(eviction.deleteOptions);
  const isDryRun = options.isDryRun === true || stringsOf(asked.dryRun).includes('All');
  const writing = { ...options, manager: '', subresource: '', isDryRun };
  const pod = operations.get(pods, target);
  const phase = valueIn(pod, 'status', 'phase');
  const preconditions = objectOf(asked.preconditions);
  const request: DeleteOptions = {
    gracePeriodSeconds: numberOf(asked.gracePeriodSeconds),
    preconditions: {
      // The pod that was looked at, not one that took its name since.
      uid: stringOf(preconditions.uid) || pod.metadata.uid,
      resourceVersion: stringOf(preconditions.resourceVersion) || undefined,
    },
  };
  const isGoing = pod.metadata.deletionTimestamp !== undefined;
  // Pods that do not run, or never ran, disrupt nothing.
  if (phase !== 'Succeeded' && phase !== 'Failed' && phase !== 'Pending' && !isGoing) {
    const [budget, second] = budgetsOf(operations, pod);
    if (second !== undefined) {
      throw apiError.internal(
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      );
    }
    if (budget !== undefined && !isFreeToGo(budget, pod)) {
      const resource = operations.registry.findStorage(budgets);
      const of = { namespace: budget.metadata.namespace, name: budget.metadata.name };
      if (resource !== undefined)
        await operations.modify(resource, of, (b) => charged(b, target.name), {
          ...writing,
          subresource: 'status',
        });
    }
  }
  if (!isGoing && !isDryRun) {
    const reason = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'EvictionByEvictionAPI',
      message: 'Eviction API: evicting',
    };
    await operations.modify(
      pods,
      target,
      (current) => ({ ...cloneJson(current), status: withPodCondition(current, reason) }),
      { ...writing, subresource: 'status' },
    );
  }
  await operations.delete(pods, target, request, writing);
}
