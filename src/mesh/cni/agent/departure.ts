import { messageOf } from '#base/errors/mesh-error.js';
import { KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import { daemonSets, nodes } from '#base/kube/resource.js';
import type { DaemonSet, KubeObject } from '#base/kube/types.js';

/** Whether the agent, on its way out, leaves the node as it is or takes the plugin away, and why. */
export interface Departure {
  readonly uninstall: boolean;
  readonly reason: string;
}

/** Decides by what the API server says about the agent's own DaemonSet. */
export async function decideDeparture(
  client: KubeClient,
  o: {
    readonly namespace: string;
    readonly daemonSet: string;
    readonly nodeName: string;
    readonly disableSafeUpgrade: boolean;
  },
): Promise<Departure> {
  if (o.disableSafeUpgrade) return { uninstall: true, reason: 'AMBIENT_DISABLE_SAFE_UPGRADE is set' };
  let daemonSet: DaemonSet;
  try {
    daemonSet = await client.get<DaemonSet>({
      resource: daemonSets,
      namespace: o.namespace,
      name: o.daemonSet,
    });
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) {
      return { uninstall: true, reason: 'the DaemonSet is gone' };
    }
    if (error instanceof KubeApiError && (error.status === 401 || error.status === 403)) {
      return { uninstall: true, reason: 'the service account or its permissions are gone' };
    }
    // Upstream cleans up here too. We do not: while the API server is out of reach nobody says that the
    // mesh is going, and taking the plugin away would let new pods start uncaptured.
    return { uninstall: false, reason: `the DaemonSet could not be read: ${messageOf(error)}` };
  }
  if (daemonSet.metadata.deletionTimestamp !== undefined) {
    return { uninstall: true, reason: 'the DaemonSet is being deleted' };
  }
  const node = await client
    .getOrUndefined<KubeObject>({ resource: nodes, name: o.nodeName })
    .catch(() => null);
  const podSpec = daemonSet.spec?.template.spec;
  if (node !== null && node !== undefined && podSpec !== undefined && !nodeMatches(podSpec, node)) {
    return { uninstall: true, reason: 'the DaemonSet no longer selects this node' };
  }
  return { uninstall: false, reason: 'the DaemonSet is still there: restart or upgrade' };
}
