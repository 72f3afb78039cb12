import type { Condition } from '#base/kube/types.js';

/** A condition as it is decided, before its time is known. */
export interface WantedCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number | undefined;
}

/** Longest message the API accepts in a condition. */
const maxMessage = 32_000;

/**
 * The conditions to write: times of transition are kept while the status stays the same, so that
 * writing an unchanged condition changes nothing.
 */
export function withTransitionTimes(
  wanted: readonly WantedCondition[],
  present: readonly Condition[] | undefined,
  now: Date,
): Condition[] {
  return wanted.map((condition) => {
    const before = present?.find(({ type }) => type === condition.type);
    const { observedGeneration, message, ...rest } = condition;
    return {
      ...rest,
      message: message.slice(0, maxMessage),
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
      lastTransitionTime:
        before?.status === condition.status && before.lastTransitionTime !== undefined
          ? before.lastTransitionTime
          : `${now.toISOString().slice(0, 19)}Z`,
    };
  });
}

/** Whether the object already carries exactly these conditions among those of the given types. */
export function hasConditions(
  present: readonly Condition[] | undefined,
  wanted: readonly WantedCondition[],
  types: readonly string[],
): boolean {
  const ours = (present ?? []).filter(({ type }) => types.includes(type));
  return (
    ours.length === wanted.length &&
    wanted.every((condition) =>
      ours.some(
        (candidate) =>
          candidate.type === condition.type &&
          candidate.status === condition.status &&
          candidate.reason === condition.reason &&
          candidate.message === condition.message &&
          candidate.observedGeneration === condition.observedGeneration,
      ),
    )
  );
}
