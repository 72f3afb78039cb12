import { Action } from '../../xds/gen/istio/authorization_pb.js';
import { type L4Connection, type L4Policy, matchInput } from './compile.js';

/** The outcome for one connection. */
export interface L4Decision {
  readonly isAllowed: boolean;
  /** Why not; in the words operators know from upstream. Undefined when allowed. */
  readonly reason: string | undefined;
  /** Key of the policy that decided; undefined when none matched. */
  readonly policy: string | undefined;
  /** Keys of dry-run policies that matched; they never change the outcome. */
  readonly dryRun: readonly string[];
}

/**
 * Evaluates the policies that apply to a workload: a matching DENY refuses; without any ALLOW policy everything else
 * is admitted; otherwise one ALLOW must match.
 */
export function authorizeL4(policies: readonly L4Policy[], connection: L4Connection): L4Decision {
  const input = matchInput(connection);
  const dryRun: string[] = [];
  let hasAllow = false;
  let allowedBy: string | undefined;
  let deniedBy: string | undefined;
  for (const policy of policies) {
    if (policy.isDryRun) {
      if (policy.matches(input)) dryRun.push(policy.key);
    } else if (policy.action === Action.DENY) {
      if (deniedBy === undefined && policy.matches(input)) deniedBy = policy.key;
    } else {
      hasAllow = true;
      if (allowedBy === undefined && policy.matches(input)) allowedBy = policy.key;
    }
  }
  if (deniedBy !== undefined) {
    return { isAllowed: false, reason: `explicitly denied by: ${deniedBy}`, policy: deniedBy, dryRun };
  }
  if (hasAllow && allowedBy === undefined) {
    const reason = 'allow policies exist, but none allowed';
    return { isAllowed: false, reason, policy: undefined, dryRun };
  }
  return { isAllowed: true, reason: undefined, policy: allowedBy, dryRun };
}
