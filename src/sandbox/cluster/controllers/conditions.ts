import type { Condition } from '#base/kube/types.js';
import { timestamp } from '../../base/timestamp.js';

/**
 * Sets one condition by type. The transition time moves only when the status
 * changes; an equal condition leaves the list as it is.
 */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  condition: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>,
  o: { readonly nowMs: number; readonly tracksUpdates?: boolean },
): Condition[] {
  const list = [...(conditions ?? [])];
  const index = list.findIndex((c) => c.type === condition.type);
  const old = list[index];
  const isEqual =
    old !== undefined &&
    old.status === condition.status &&
    old.reason === condition.reason &&
    old.message === condition.message;
  if (isEqual) return list;
  const now = timestamp(o.nowMs);
  const next: Condition = {
    ...condition,
    lastTransitionTime: old?.status === condition.status ? (old.lastTransitionTime ?? now) : now,
    ...(o.tracksUpdates === true ? { lastUpdateTime: now } : {}),
  };
  if (index < 0) list.push(next);
  else list[index] = next;
  return list;
}

/** The list without a type. */
export function withoutCondition(conditions: readonly Condition[] | undefined, type: string): Condition[] {
  return (conditions ?? []).filter((c) => c.type !== type);
}

/** The condition of a type. */
export function conditionOf(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((c) => c.type === type);
}
