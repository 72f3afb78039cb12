import type { Finding, FindingSubject } from './findings/finding.js';
import { type WaypointReport, waypointShortfall } from './waypoint-report.js';

/** A waypoint or gateway that is not ready, and why. */
export interface UnreadyGateway {
  readonly kind?: 'waypoint' | 'Gateway';
  readonly namespace: string;
  readonly name: string;
  /** What it lacks. */
  readonly why: string;
  /** Where the controller is, which deploys it. */
  readonly meshNamespace: string;
  /** Who feels it. */
  readonly concerns?: readonly FindingSubject[];
  /** What explains it besides the state of the mesh. */
  readonly dependsOn?: readonly FindingSubject[];
  readonly evidence?: readonly string[];
  readonly fix?: string;
}

/** That a waypoint or gateway is not ready: of all that feel it, and of every report, one finding. */
export function unreadyGatewayFinding(of: UnreadyGateway): Finding {
  const { kind = 'waypoint', namespace, name, why, meshNamespace, concerns = [], dependsOn = [] } = of;
  const subject = { kind: 'Gateway', namespace, name };
  return {
    code: 'MESH0924',
    severity: 'error',
    message: `${kind} ${namespace}/${name} is not ready (${why}): calls through it are refused`,
    subject,
    concerns,
    dependsOn: [
      { kind: 'Namespace', name: meshNamespace },
      { kind: 'Deployment', namespace: meshNamespace, name: 'istiod' },
      ...dependsOn,
      { kind: 'Deployment', namespace, name },
      subject,
    ],
    evidence: of.evidence ?? [],
    fix: of.fix ?? `meshctl describe gateway ${name}.${namespace}`,
  };
}

/** The waypoints of reports that are not ready: calls through them are refused. */
export function unreadyWaypoints(
  waypoints: readonly WaypointReport[],
  meshNamespace: string,
): readonly Finding[] {
  return waypoints.flatMap((waypoint) => {
    const why = waypointShortfall(waypoint);
    const { namespace, name, users } = waypoint;
    if (why === undefined) return [];
    const evidence = users.length === 0 ? [] : [`used by ${users.join(', ')}`];
    return [unreadyGatewayFinding({ namespace, name, why, meshNamespace, evidence })];
  });
}
