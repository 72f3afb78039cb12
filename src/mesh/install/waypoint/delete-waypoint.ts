import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { listWaypoints, type WaypointReport } from '../../inspect/waypoint-report.js';
import { listWaypointUsers } from '../../inspect/waypoint-users.js';
import { waypointKey } from '../../rules/waypoint.js';
import { waypointUserText } from '../../rules/waypoint-users.js';
import type { KubeClient } from '#base/kube/client.js';
import { gateways } from '#base/kube/resource.js';
import type { InstallReporter } from '../reporter.js';
import { detachUser } from './detach.js';

export interface WaypointDeletion {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Empty: all waypoints of the namespace. */
  readonly names: readonly string[];
  /** Remove the labels of those who use it. */
  readonly isDetaching: boolean;
  readonly reporter: InstallReporter;
}

/**
 * Deletes waypoints: all of those named, or none when one does not exist or is in use.
 * Users are detached first, so that no call goes to a waypoint that is ending.
 * @throws MESH0905, MESH0312
 */
export async function deleteWaypoints(request: WaypointDeletion): Promise<readonly WaypointReport[]> {
  const { client, namespace, names, reporter } = request;
  const here = await listWaypoints(client, { namespace });
  const unknown = names.find((name) => !here.some((w) => w.name === name));
  if (unknown !== undefined) {
    throw new MeshError('MESH0905', `namespace ${namespace} has no waypoint named ${unknown}`, {
      evidence: `waypoints there: ${here.map((w) => w.name).join(', ') || 'none'}`,
    });
  }
  const doomed = names.length === 0 ? here : here.filter((w) => names.includes(w.name));
  const doomedKeys = new Set(doomed.map((w) => waypointKey(w.namespace, w.name)));
  const users = (await listWaypointUsers(client)).filter((user) => doomedKeys.has(user.waypoint));
  if (users.length > 0 && !request.isDetaching) {
    const inUse = doomed.filter((w) => users.some((u) => u.waypoint === waypointKey(w.namespace, w.name)));
    throw new MeshError(
      'MESH0312',
      `${inUse.map((w) => `waypoint ${w.namespace}/${w.name}`).join(', ')} in use; nothing was deleted`,
      { evidence: users.map((user) => `${waypointUserText(user)} uses ${user.waypoint}`).join('\n') },
    );
  }
  const templates = new Set<string>();
  for (const user of users) {
    const template = await detachUser(client, user);
    if (template !== undefined) templates.add(template);
    reporter.info(`${waypointUserText(user)} no longer uses a waypoint`);
  }
  for (const template of templates) {
    reporter.warn(`the pods that ${template} makes anew will name the waypoint again: change its template`);
  }
  if (users.length > 0) await delay(detachGraceMs);
  for (const waypoint of doomed) {
    await client.delete({ resource: gateways, namespace: waypoint.namespace, name: waypoint.name });
    reporter.info(`waypoint ${waypoint.namespace}/${waypoint.name} deleted`);
  }
  return doomed;
}

/** Time for node proxies to hear that nobody is bound any more, in milliseconds. */
const detachGraceMs = 500;
