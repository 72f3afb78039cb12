import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import { isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import { daemonSets, nodes } from '#base/kube/resource.js';
import type { DaemonSet, KubeObject } from '#base/kube/types.js';

/**
 * What an agent that was told to end leaves behind:
 * - `restart`: a successor comes; everything stays.
 * - `left`: no successor comes, and the mesh goes on. What its labels keep in the mesh stays captured and served by the
 *   node proxy; releasing it would lift the policies on it.
 * - `removed`: the mesh is being taken away. Nobody would ever release what stays captured.
 */
export interface Departure {
  readonly kind: 'restart' | 'left' | 'removed';
  readonly reason: string;
  /** New pods of the mesh are held back for as long as others on the node are captured. */
  readonly isGuarded: boolean;
}

export interface DepartureOptions {
  readonly namespace: string;
  readonly daemonSet: string;
  readonly nodeName: string;
  /** The node proxy's, in the system namespace: it goes with the mesh. */
  readonly proxy: { readonly namespace: string; readonly daemonSet: string };
  readonly disableSafeUpgrade: boolean;
}

/** What takes a mesh away deletes one object after the other. */
const removalMs = 5_000;
const removalPollMs = 250;

/** Decides by what the API server says about the DaemonSets and the node; what it cannot say means a restart. */
export async function decideDeparture(client: KubeClient, o: DepartureOptions): Promise<Departure> {
  const left = (reason: string): Departure => ({ kind: 'left', reason, isGuarded: !o.disableSafeUpgrade });
  const own = await readDaemonSet(client, o);
  if (own === 'gone') {
    return (await isProxyGoing(client, o))
      ? { kind: 'removed', reason: 'the DaemonSets of the mesh are gone', isGuarded: false }
      : left('the DaemonSet is gone');
  }
  if (own === 'forbidden') return left('the service account or its permissions are gone');
  if (own instanceof Error) {
    // While the API server is out of reach nobody says that the mesh is going.
    const reason = `the DaemonSet could not be read: ${messageOf(own)}`;
    return o.disableSafeUpgrade ? left(reason) : { kind: 'restart', reason, isGuarded: false };
  }
  const node = await client
    .getOrUndefined<KubeObject>({ resource: nodes, name: o.nodeName })
    .catch(() => undefined);
  const podSpec = own.spec?.template.spec;
  if (node !== undefined && podSpec !== undefined && !nodeMatches(podSpec, node)) {
    return left('the DaemonSet no longer selects this node');
  }
  if (o.disableSafeUpgrade) return left('AMBIENT_DISABLE_SAFE_UPGRADE is set');
  return { kind: 'restart', reason: 'the DaemonSet is there: restart or upgrade', isGuarded: false };
}

async function isProxyGoing(client: KubeClient, { proxy }: DepartureOptions): Promise<boolean> {
  const deadline = performance.now() + removalMs;
  for (;;) {
    if ((await readDaemonSet(client, proxy)) === 'gone') return true;
    if (performance.now() >= deadline) return false;
    await delay(removalPollMs);
  }
}

/** The DaemonSet; `gone` also when it is being deleted. */
async function readDaemonSet(
  client: KubeClient,
  o: { readonly namespace: string; readonly daemonSet: string },
): Promise<DaemonSet | 'gone' | 'forbidden' | Error> {
  try {
    const ref = { resource: daemonSets, namespace: o.namespace, name: o.daemonSet };
    const daemonSet = await client.get<DaemonSet>(ref);
    return daemonSet.metadata.deletionTimestamp === undefined ? daemonSet : 'gone';
  } catch (error) {
    if (isNotFound(error)) return 'gone';
    if (error instanceof KubeApiError && (error.status === 401 || error.status === 403)) return 'forbidden';
    return error instanceof Error ? error : new Error(String(error));
  }
}
