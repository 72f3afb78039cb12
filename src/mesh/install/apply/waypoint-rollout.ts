import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { gatewayManaged } from '#base/kube/labels.js';
import { deployments } from '#base/kube/resource.js';
import type { Deployment } from '#base/kube/types.js';
import { type MeshNames, namesFromEnvironment } from '../../rules/trust-domain.js';
import type { InstallReporter } from '../reporter.js';
import { nameOf } from './plan-changes.js';
import { missingForReady, troubleOf } from './readiness.js';

const pollIntervalMs = 500;
/** Value of the label that the controller puts on what it deploys for waypoints. */
const waypointsOfMesh = `${gatewayManaged}=istio.io-mesh-controller`;

/**
 * Waits until every waypoint that the controller deploys is told these names of the mesh, and rolled out. Says nothing
 * when they all are told already.
 * @throws MESH0308 when `deadlineMs` (of performance.now) passes
 */
export async function waitForWaypoints(
  client: KubeClient,
  names: MeshNames,
  o: { readonly deadlineMs: number; readonly signal: AbortSignal; readonly reporter: InstallReporter },
): Promise<void> {
  const list = () => client.list<Deployment>(deployments, { labelSelector: waypointsOfMesh });
  const before = await list();
  if (before.every((waypoint) => isTold(waypoint, names))) return;
  const step = o.reporter.step('Waypoints');
  try {
    for (;;) {
      o.signal.throwIfAborted();
      const lagging = (await list()).flatMap((waypoint) => {
        const missing = isTold(waypoint, names) ? missingForReady(waypoint) : 'not told the mesh options yet';
        return missing === undefined ? [] : [{ waypoint, missing }];
      });
      const [first] = lagging;
      if (first === undefined) break;
      step.update(`${nameOf(first.waypoint)}: ${first.missing}`);
      if (performance.now() > o.deadlineMs) {
        throw new MeshError('MESH0308', `${nameOf(first.waypoint)} is not rolled out: ${first.missing}`, {
          evidence: await troubleOf(client, first.waypoint),
        });
      }
      await delay(pollIntervalMs, undefined, { signal: o.signal });
    }
    step.succeed(`${before.length} rolled out`);
  } catch (error) {
    step.fail('failed');
    throw error;
  }
}

function isTold(waypoint: Deployment, names: MeshNames): boolean {
  const [container] = waypoint.spec.template.spec.containers;
  const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
  const told = namesFromEnvironment(env);
  return (
    told.trustDomain === names.trustDomain &&
    told.trustDomainAliases.join() === names.trustDomainAliases.join()
  );
}
