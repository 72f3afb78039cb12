import type { PolicyOutcome } from '../model/ambient-index.js';
import { l4Shortfall } from '../../rules/l4-authorization.js';
import { unsupportedReason } from '../../rules/l7-authorization.js';
import { type PeerAuthFacts, peerAuthShortfall } from '../../rules/mtls-mode.js';
import type { WantedCondition } from './desired-status.js';

/**
 * What to say of an AuthorizationPolicy: accepted only by an enforcement point that enforces it as it is written.
 */
export function policyConditions(outcome: PolicyOutcome): readonly WantedCondition[] {
  const observedGeneration = outcome.policy.metadata.generation;
  const condition = (type: string, isTrue: boolean, reason: string, message: string): WantedCondition[] => [
    { type, status: isTrue ? 'True' : 'False', reason, message, observedGeneration },
  ];
  if (outcome.targets !== undefined) {
    const unsupported = unsupportedReason(outcome.policy);
    if (unsupported !== undefined) return condition('WaypointAccepted', false, 'Invalid', unsupported);
    const failed = outcome.targets.flatMap((t) => (t.problem === undefined ? [] : [t.problem]));
    const [first] = failed;
    const bound = outcome.targets.filter((t) => t.problem === undefined).flatMap((t) => t.gateways);
    if (first === undefined) {
      const to =
        bound.length === 0 ? 'no Gateway of the class exists' : `bound to ${[...new Set(bound)].join(', ')}`;
      return condition('WaypointAccepted', true, 'Accepted', to);
    }
    if (outcome.targets.length === 1)
      return condition('WaypointAccepted', false, first.reason, first.message);
    const messages = failed.map((p) => p.message).join('; ');
    return failed.length < outcome.targets.length
      ? condition('WaypointAccepted', true, 'PartiallyInvalid', messages)
      : condition('WaypointAccepted', false, 'Invalid', messages);
  }
  const { l4 } = outcome;
  if (l4 === undefined) return [];
  const shortfall = l4Shortfall(l4);
  if (shortfall !== undefined) return condition('ZtunnelAccepted', false, 'UnsupportedValue', shortfall);
  return condition('ZtunnelAccepted', true, 'Accepted', 'attached to ztunnel');
}

/** What to say of a PeerAuthentication: accepted when node proxies do all it asks for. */
export function peerAuthConditions(policy: PeerAuthFacts, rootNamespace: string): readonly WantedCondition[] {
  const shortfall = peerAuthShortfall(policy, rootNamespace);
  const type = 'ZtunnelAccepted';
  return [
    shortfall === undefined
      ? { type, status: 'True', reason: 'Accepted', message: 'attached to ztunnel' }
      : { type, status: 'False', reason: 'UnsupportedValue', message: shortfall },
  ];
}
