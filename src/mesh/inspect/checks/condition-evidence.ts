import type { Condition, KubeObject } from '#base/kube/types.js';

type WithConditions = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

/** What the controller says is wrong with an object: its conditions that do not hold, a line each. */
export function conditionEvidence({ status }: WithConditions): readonly string[] {
  return (status?.conditions ?? [])
    .filter((condition) => condition.status !== 'True')
    .map(
      ({ type, status: value, reason = '', message = '' }) => `${type} is ${value}, ${reason}: ${message}`,
    );
}
