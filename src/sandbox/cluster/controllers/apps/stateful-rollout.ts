import type { Pod } from '#base/kube/types.js';
import type { StatefulSet } from '../../objects.js';
import { isAvailable, isFinished } from '../pod-state.js';

/** Next step of a StatefulSet: ordinals to create and pods to delete, in order. */
export interface StatefulPlan {
  readonly toCreate: readonly number[];
  readonly toDelete: readonly Pod[];
}

/** The ordinal in `NAME-3`; undefined when the pod is not named after the set. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const rest = pod.metadata.name.startsWith(prefix) ? pod.metadata.name.slice(prefix.length) : '';
  return /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : undefined;
}

/**
 * Plans one step. OrderedReady: create and update one at a time, each only when
 * all before it are available, and shrink from the highest ordinal down.
 * Parallel: create and shrink at once; updates still go one by one.
 */
export function statefulPlan(o: {
  readonly set: StatefulSet;
  readonly pods: readonly Pod[];
  readonly isUpdated: (pod: Pod) => boolean;
  readonly nowMs: number;
}): StatefulPlan {
  const { set, nowMs } = o;
  const start = set.spec.ordinals?.start ?? 0;
  const replicas = set.spec.replicas ?? 1;
  const isParallel = set.spec.podManagementPolicy === 'Parallel';
  const byOrdinal = new Map<number, Pod>();
  for (const pod of o.pods) {
    const ordinal = ordinalOf(set, pod);
    if (ordinal !== undefined) byOrdinal.set(ordinal, pod);
  }
  const isUp = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined && isAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs);
  const toCreate: number[] = [];
  for (let ordinal = start; ordinal < start + replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) {
      toCreate.push(ordinal);
      if (!isParallel) return { toCreate, toDelete: [] };
    } else if (isFinished(pod) && pod.metadata.deletionTimestamp === undefined) {
      // An ended pod is replaced under the same name, so it has to go first.
      return { toCreate: [], toDelete: [pod] };
    } else if (!isParallel && !isUp(pod)) {
      return { toCreate: [], toDelete: brokenByUpdate(o, pod) };
    }
  }
  const surplus = [...byOrdinal]
    .filter(([ordinal]) => ordinal < start || ordinal >= start + replicas)
    .toSorted(([a], [b]) => b - a)
    .map(([, pod]) => pod);
  if (surplus.length > 0) {
    const isBusy = !isParallel && surplus.some((pod) => pod.metadata.deletionTimestamp !== undefined);
    const living = surplus.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    return { toCreate, toDelete: isBusy ? [] : isParallel ? living : living.slice(0, 1) };
  }
  if (toCreate.length > 0) return { toCreate, toDelete: [] };
  return { toCreate: [], toDelete: nextToUpdate(o, byOrdinal, isUp) };
}

/** A pod of the old template that never becomes ready must not block the template that would repair it. */
function brokenByUpdate(
  o: { readonly set: StatefulSet; readonly isUpdated: (pod: Pod) => boolean },
  pod: Pod,
): Pod[] {
  const ordinal = ordinalOf(o.set, pod) ?? 0;
  const isDue = updates(o.set) && ordinal >= firstToUpdate(o.set) && !o.isUpdated(pod);
  return isDue && pod.metadata.deletionTimestamp === undefined ? [pod] : [];
}

/** From the highest ordinal down, one pod at a time, stopping at the partition. */
function nextToUpdate(
  o: { readonly set: StatefulSet; readonly isUpdated: (pod: Pod) => boolean },
  byOrdinal: ReadonlyMap<number, Pod>,
  isUp: (pod: Pod) => boolean,
): Pod[] {
  if (!updates(o.set)) return [];
  for (const [ordinal, pod] of [...byOrdinal].toSorted(([a], [b]) => b - a)) {
    if (ordinal < firstToUpdate(o.set)) return [];
    if (!o.isUpdated(pod)) return pod.metadata.deletionTimestamp === undefined ? [pod] : [];
    if (!isUp(pod)) return [];
  }
  return [];
}

/** Whether pods are replaced by the controller and not only by whoever deletes them. */
export function updates(set: StatefulSet): boolean {
  return set.spec.updateStrategy?.type !== 'OnDelete';
}

/** Ordinals below stay on the old template. */
export function firstToUpdate(set: StatefulSet): number {
  return (set.spec.ordinals?.start ?? 0) + (set.spec.updateStrategy?.rollingUpdate?.partition ?? 0);
}
