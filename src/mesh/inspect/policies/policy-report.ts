import { hasTargetRefs } from '../../rules/policy-targets.js';
import type { AppliedPolicy, PolicySources } from './applied-policy.js';
import { atWaypoints, unaskedAtWaypoints } from './at-waypoints.js';
import { atZtunnel, unaskedAtZtunnel } from './at-ztunnel.js';

/** The policies that concern a pod: those asked for, then those that are enforced and nobody asks for. */
export function appliedPolicies(from: PolicySources): readonly AppliedPolicy[] {
  const wanted = from.policies.flatMap((policy) =>
    hasTargetRefs(policy) ? atWaypoints(policy, from) : atZtunnel(policy, from),
  );
  return [...wanted, ...unaskedAtZtunnel(from), ...unaskedAtWaypoints(from, wanted)];
}
