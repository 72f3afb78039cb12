import type { MeshService } from '../model/service.js';
import type { WantedCondition } from './conditions.js';

/** Condition type on a Service; upstream's. */
export const waypointBound = 'istio.io/WaypointBound';

/** What to say of a Service's waypoint; nothing of one that names none. */
export function serviceConditions({ binding }: MeshService): readonly WantedCondition[] {
  if (binding.kind === 'none') return [];
  if (binding.problem === undefined) {
    return [
      {
        type: waypointBound,
        status: 'True',
        reason: 'WaypointAccepted',
        message: `bound to waypoint ${binding.waypoint}`,
      },
    ];
  }
  const consequence = binding.kind === 'bound' ? 'traffic is refused until it is ready' : 'it is not used';
  const messages = {
    WaypointIsNotReady: `waypoint ${binding.waypoint} is missing or not ready; ${consequence}`,
    AttachmentDenied: `waypoint ${binding.waypoint} does not admit this namespace; ${consequence}`,
    UnsupportedTrafficType: `waypoint ${binding.waypoint} is not for services; ${consequence}`,
  };
  return [
    { type: waypointBound, status: 'False', reason: binding.problem, message: messages[binding.problem] },
  ];
}
