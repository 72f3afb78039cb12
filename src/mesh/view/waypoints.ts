import type { GatewayRef } from './known.js';
import type { AddressOwner } from './mesh-view.js';

/** Every waypoint that may be in charge of an address. */
export function waypointsOf(owner: AddressOwner): readonly GatewayRef[] {
  const { waypoint } = owner.kind === 'service' ? owner.service : owner.workload;
  const weighted = owner.kind === 'service' ? owner.service.weightedWaypoints : [];
  return [...(waypoint === undefined ? [] : [waypoint]), ...weighted.map(({ destination }) => destination)];
}
