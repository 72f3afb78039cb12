import type { MeshService } from '../model/service.js';
import { bindingProblemText } from '../../rules/waypoint-binding.js';
import type { WantedCondition } from './desired-status.js';

/** Condition type on a Service; upstream's. */
const waypointBound = 'istio.io/WaypointBound';

/** What to say of a Service's waypoint; nothing of one that names none. */
export function serviceConditions({ binding }: MeshService): readonly WantedCondition[] {
  if (binding.kind === 'none') return [];
  const problem = bindingProblemText(binding, 'service');
  const condition = (status: 'True' | 'False', reason: string, message: string): WantedCondition[] => [
    { type: waypointBound, status, reason, message },
  ];
  return problem === undefined || binding.problem === undefined
    ? condition('True', 'WaypointAccepted', `bound to waypoint ${binding.waypoint}`)
    : condition('False', binding.problem, problem);
}
