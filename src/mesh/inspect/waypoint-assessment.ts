import type { Finding } from './findings/finding.js';
import { foldFindings } from './findings/fold.js';
import { unreadyWaypoints } from './gateway-findings.js';
import type { MeshObserver } from './mesh-observer.js';
import { controllerFindings } from './runtime/controller-findings.js';
import { relevantTo } from './surroundings.js';
import { requireWaypoints, type WaypointReport } from './waypoint-report.js';

/** Waypoints, and what is wrong with them or with the controller that deploys and configures them. */
export interface WaypointAssessment {
  readonly waypoints: readonly WaypointReport[];
  readonly findings: readonly Finding[];
}

/** The waypoints of a namespace, or the one with a name. Rejects with MESH0906 when the cluster lacks the Gateway API. */
export async function assessWaypoints(
  observer: MeshObserver,
  of: { readonly namespace: string; readonly name: string | undefined },
): Promise<WaypointAssessment> {
  const [waypoints, controller] = await Promise.all([
    requireWaypoints(observer.client, of),
    controllerFindings(observer),
  ]);
  const all = foldFindings([...controller, ...unreadyWaypoints(waypoints, observer.meshNamespace)]);
  return { waypoints, findings: relevantTo(all, controller) };
}
