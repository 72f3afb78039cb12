import { equalJson, isObject, type Json } from '../../base/json.js';

/** Finds an item in a list: by key, or by value in lists of scalars. */
export function indexOfItem(list: readonly Json[], item: Json, key: string | undefined): number {
  return list.findIndex((other) =>
    key === undefined
      ? equalJson(other, item)
      : isObject(other) && isObject(item) && equalJson(other[key], item[key]),
  );
}

/** The items of a list that are in another one, and the rest. */
function partition(list: readonly Json[], by: readonly Json[], key: string | undefined): [Json[], Json[]] {
  const present: Json[] = [];
  const rest: Json[] = [];
  for (const item of list) (indexOfItem(by, item, key) >= 0 ? present : rest).push(item);
  return [present, rest];
}

function sortedBy(list: readonly Json[], order: readonly Json[], key: string | undefined): Json[] {
  return list
    .map((item) => ({ item, rank: indexOfItem(order, item, key) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/**
 * Puts the items of a merged list in order, as Kubernetes does: those that
 * `order` names follow it, the others keep the order they had in `before`
 * and go after the former wherever `before` does not put them in front.
 */
export function orderMerged(
  merged: readonly Json[],
  order: readonly Json[],
  before: readonly Json[],
  key: string | undefined,
): Json[] {
  const [listed, others] = partition(merged, order, key);
  const right = sortedBy(listed, order, key);
  const left = sortedBy(others, before, key);
  const out: Json[] = [];
  while (left.length > 0 && right.length > 0) {
    // Both lists have an item, checked just above.
    const l = indexOfItem(before, left[0] as Json, key);
    const r = indexOfItem(before, right[0] as Json, key);
    const next = l >= 0 && r >= 0 && l < r ? left.shift() : right.shift();
    if (next !== undefined) out.push(next);
  }
  return [...out, ...left, ...right];
}

/** Whether the items of a list occur in the order that another list gives. */
export function isInOrder(list: readonly Json[], order: readonly Json[], key: string | undefined): boolean {
  let at = -1;
  for (const item of list) {
    const rank = indexOfItem(order, item, key);
    if (rank < 0 || rank < at) return false;
    at = rank;
  }
  return true;
}
