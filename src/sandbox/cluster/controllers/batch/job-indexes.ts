import type { Pod } from '#base/kube/types.js';

/** The pod annotation and label that carry the index of an Indexed job. */
export const completionIndexKey = 'batch.kubernetes.io/job-completion-index';
/** How often pods of this index had failed before this pod (jobs with backoffLimitPerIndex). */
export const indexFailureCountKey = 'batch.kubernetes.io/job-index-failure-count';

/** The completion index of a pod; undefined when it has none. */
export function indexOf(pod: Pod): number | undefined {
  return numberOf(pod.metadata.annotations?.[completionIndexKey]);
}

/** Failures of the pod's index before it. */
export function earlierFailures(pod: Pod): number {
  return numberOf(pod.metadata.annotations?.[indexFailureCountKey]) ?? 0;
}

/** `0-2,5`: the form of status.completedIndexes; the indexes must be in order. */
export function indexRanges(indexes: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indexes.length; ) {
    let end = i;
    while ((indexes[end + 1] ?? Number.NaN) === (indexes[end] ?? 0) + 1) end++;
    parts.push(end === i ? String(indexes[i]) : `${indexes[i]}-${indexes[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}

/** Reads `0-2,5` below `limit`; what is not a number is left out. */
export function parseIndexRanges(text: string | undefined, limit: number): number[] {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined) continue;
    const end = Math.min(Number(last ?? first), limit - 1);
    for (let index = Number(first); index <= end; index++) indexes.add(index);
  }
  return [...indexes].toSorted((a, b) => a - b);
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
