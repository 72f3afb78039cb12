import type { Deployment, ReplicaSet } from '#base/kube/types.js';
import { resolveIntOrPercent } from '../int-or-percent.js';

/** How many pods a Deployment may have too many or too few while it changes. */
export interface RolloutBounds {
  readonly desired: number;
  readonly maxSurge: number;
  readonly maxUnavailable: number;
}

/** A change of size of one replica set. */
export interface ScaleStep {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

/** Replica sets of a Deployment: the one with the current template, if made, and the others, oldest first. */
export interface RolloutSets {
  readonly current: ReplicaSet | undefined;
  readonly old: readonly ReplicaSet[];
}

const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';

/** Bounds from the spec. Both zero would never move, so then one pod may be unavailable. */
export function rolloutBounds(deployment: Deployment): RolloutBounds {
  const desired = deployment.spec.replicas ?? 1;
  if (deployment.spec.strategy?.type === 'Recreate') return { desired, maxSurge: 0, maxUnavailable: desired };
  const limits = deployment.spec.strategy?.rollingUpdate;
  const maxSurge = resolveIntOrPercent(limits?.maxSurge ?? '25%', desired, 'up');
  const maxUnavailable = resolveIntOrPercent(limits?.maxUnavailable ?? '25%', desired, 'down');
  return {
    desired,
    maxSurge,
    maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : Math.min(maxUnavailable, desired),
  };
}

/** Annotations that record for which size a replica set was scaled. */
export function sizeAnnotations(bounds: RolloutBounds): Record<string, string> {
  return {
    [desiredAnnotation]: String(bounds.desired),
    [maxAnnotation]: String(bounds.desired + bounds.maxSurge),
  };
}

/** Size with which the current replica set is created or grown under RollingUpdate. */
export function currentSize(bounds: RolloutBounds, sets: RolloutSets): number {
  const have = sets.current === undefined ? 0 : sizeOf(sets.current);
  if (have >= bounds.desired) return bounds.desired;
  const total = have + sum(sets.old, sizeOf);
  const room = bounds.desired + bounds.maxSurge - total;
  return have + Math.max(0, Math.min(room, bounds.desired - have));
}

/**
 * Next step of a RollingUpdate: first the current set grows as far as maxSurge
 * allows, then the old ones shrink as far as maxUnavailable allows, starting
 * with pods that serve nobody.
 */
export function rollingSteps(bounds: RolloutBounds, sets: RolloutSets): ScaleStep[] {
  const { current, old } = sets;
  if (current === undefined) return [];
  const size = currentSize(bounds, sets);
  if (size !== sizeOf(current)) return [{ set: current, replicas: size }];
  const oldTotal = sum(old, sizeOf);
  if (oldTotal === 0) return [];
  const minAvailable = bounds.desired - bounds.maxUnavailable;
  const currentUnavailable = sizeOf(current) - availableOf(current);
  const shrinkMax = oldTotal + sizeOf(current) - minAvailable - currentUnavailable;
  if (shrinkMax <= 0) return [];
  const sizes = new Map(old.map((set) => [set, sizeOf(set)]));
  let shrunk = 0;
  for (const set of old) {
    const unhealthy = Math.min(shrinkMax - shrunk, sizeOf(set) - availableOf(set));
    if (unhealthy <= 0) continue;
    sizes.set(set, sizeOf(set) - unhealthy);
    shrunk += unhealthy;
  }
  let spare = availableOf(current) + sum(old, availableOf) - minAvailable;
  for (const set of old) {
    const size = sizes.get(set) ?? 0;
    const step = Math.min(size, spare);
    if (step <= 0) continue;
    sizes.set(set, size - step);
    spare -= step;
  }
  return changes(sizes);
}

/**
 * Steps that bring a Deployment whose `replicas` changed in the middle of a rollout to the new size in
 * proportion; a paused one is resized, and nothing else. Undefined when there is nothing to resize.
 */
export function resizeSteps(
  bounds: RolloutBounds,
  sets: RolloutSets,
  o: { readonly isPaused?: boolean } = {},
): ScaleStep[] | undefined {
  const all = sets.current === undefined ? [...sets.old] : [...sets.old, sets.current];
  const active = all.filter((set) => sizeOf(set) > 0);
  const isResized = active.some((set) => {
    const recorded = set.metadata.annotations?.[desiredAnnotation];
    return recorded !== undefined && Number(recorded) !== bounds.desired;
  });
  if (!isResized && o.isPaused !== true) return undefined;
  if (active.length < 2) {
    const only = active[0] ?? all.at(-1);
    if (only === undefined || (!isResized && sizeOf(only) === bounds.desired)) return [];
    return [{ set: only, replicas: bounds.desired }];
  }
  const { current } = sets;
  if (current !== undefined && sizeOf(current) === bounds.desired && availableOf(current) === bounds.desired)
    return active.filter((set) => set !== current).map((set) => ({ set, replicas: 0 }));
  return proportionalSteps(bounds, active);
}

/** Every set by the share it has of the pods, rounded; what that leaves over goes to the largest. `active`: oldest first. */
function proportionalSteps(bounds: RolloutBounds, active: readonly ReplicaSet[]): ScaleStep[] {
  const allowed = bounds.desired === 0 ? 0 : bounds.desired + bounds.maxSurge;
  const total = sum(active, sizeOf);
  const toAdd = allowed - total;
  let left = toAdd;
  const byAge = toAdd > 0 ? active.toReversed() : active;
  const steps = byAge
    .toSorted((a, b) => sizeOf(b) - sizeOf(a))
    .map((set) => {
      const size = sizeOf(set);
      // The pods there were to be when this set got its size: half a step of the rollout may be done since.
      const of = Number(set.metadata.annotations?.[maxAnnotation] ?? 0) || total;
      const share = Math.round((size * allowed) / of) - size;
      const change = toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
      left -= change;
      return { set, replicas: size + change };
    });
  // Sets whose share did not change are written too: that records the new size on them.
  return steps.map((step, i) => (i === 0 ? { ...step, replicas: Math.max(0, step.replicas + left) } : step));
}

/** Desired size of a replica set. */
export function sizeOf(set: ReplicaSet): number {
  return set.spec.replicas ?? 1;
}

function availableOf(set: ReplicaSet): number {
  return set.status?.availableReplicas ?? 0;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

function changes(sizes: ReadonlyMap<ReplicaSet, number>): ScaleStep[] {
  return [...sizes]
    .filter(([set, replicas]) => replicas !== sizeOf(set))
    .map(([set, replicas]) => ({ set, replicas }));
}
