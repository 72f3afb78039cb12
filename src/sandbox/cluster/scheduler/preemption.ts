import { labelSelectorMatches } from '#base/kube/labels.js';
import type { Pod } from '#base/kube/types.js';
import { isActive, isFinished } from '../controllers/pod-state.js';
import type { PodDisruptionBudget } from '../objects.js';
import { type ClusterView, type ScheduledNode, type NodeRefusal, withPodsOf } from './cluster-view.js';
import { countedReasons, refusalBy } from './placement.js';

/** Pods that have to leave a node so that a more important one fits. */
export interface Preemption {
  readonly node: string;
  readonly victims: readonly Pod[];
}

/** What became of the attempt to make room. */
export type PreemptionOutcome = Preemption | { readonly failure: string };

interface Plan extends Preemption {
  readonly budgetViolations: number;
}

/**
 * Looks for the node where making room costs least: disruption budgets first,
 * then the most important victim, the sum of their priorities, their number
 * (kubernetes.io documentation, "Pod Priority and Preemption").
 */
export function planPreemption(
  pod: Pod,
  o: {
    readonly view: ClusterView;
    readonly refusals: ReadonlyMap<string, NodeRefusal>;
    readonly budgets: readonly PodDisruptionBudget[];
  },
): PreemptionOutcome {
  if (pod.spec.preemptionPolicy === 'Never')
    return { failure: 'not eligible due to preemptionPolicy=Never.' };
  const helpful = o.view.nodes.filter(
    ({ node }) => o.refusals.get(node.metadata.name)?.isResolvable === true,
  );
  const plans = helpful.flatMap((state) => planFor(pod, state, o) ?? []);
  const [best] = plans.toSorted(cheaper);
  if (best !== undefined) return { node: best.node, victims: best.victims };
  const reasons = [...o.refusals.values()].map(({ isResolvable }) =>
    isResolvable
      ? 'No preemption victims found for incoming pod'
      : 'Preemption is not helpful for scheduling',
  );
  return { failure: `${countedReasons(reasons)}.` };
}

/** Priority of a pod; without a class it is zero. */
export function priorityOf(pod: Pod): number {
  return pod.spec.priority ?? 0;
}

function planFor(
  pod: Pod,
  state: ScheduledNode,
  o: { readonly view: ClusterView; readonly budgets: readonly PodDisruptionBudget[] },
): Plan | undefined {
  const { name } = state.node.metadata;
  const isLesser = (each: Pod): boolean => !isFinished(each) && priorityOf(each) < priorityOf(pod);
  const lesser = state.pods.filter(isLesser);
  if (lesser.length === 0) return undefined;
  let kept = state.pods.filter((each) => !isLesser(each));
  const fits = (pods: readonly Pod[]): boolean => {
    const view = withPodsOf(o.view, name, pods);
    return refusalBy(pod, view)({ node: state.node, pods }) === undefined;
  };
  if (!fits(kept)) return undefined;
  const spent = spendBudgets(lesser, o.budgets);
  const victims: Pod[] = [];
  // The most important, and those a budget protects, are let back in first.
  const order = lesser.toSorted(
    (a, b) =>
      Number(spent.has(b)) - Number(spent.has(a)) ||
      priorityOf(b) - priorityOf(a) ||
      startedAt(a) - startedAt(b),
  );
  for (const each of order) {
    if (fits([...kept, each])) kept = [...kept, each];
    else victims.push(each);
  }
  return { node: name, victims, budgetViolations: victims.filter((each) => spent.has(each)).length };
}

/** The pods whose loss a disruption budget does not allow any more. */
function spendBudgets(pods: readonly Pod[], budgets: readonly PodDisruptionBudget[]): Set<Pod> {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const violating = new Set<Pod>();
  for (const pod of pods.filter(isActive).toSorted((a, b) => priorityOf(b) - priorityOf(a))) {
    for (const [budget, allowed] of left) {
      const isMeant =
        budget.metadata.namespace === pod.metadata.namespace &&
        labelSelectorMatches(budget.spec.selector, pod.metadata.labels);
      if (!isMeant) continue;
      left.set(budget, allowed - 1);
      if (allowed <= 0) violating.add(pod);
    }
  }
  return violating;
}

function cheaper(a: Plan, b: Plan): number {
  const highest = (plan: Plan): number => Math.max(...plan.victims.map(priorityOf));
  const sum = (plan: Plan): number => plan.victims.reduce((total, each) => total + priorityOf(each), 0);
  return (
    a.budgetViolations - b.budgetViolations ||
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    a.node.localeCompare(b.node)
  );
}

function startedAt(pod: Pod): number {
  return Date.parse(pod.status?.startTime ?? pod.metadata.creationTimestamp ?? '') || 0;
}
