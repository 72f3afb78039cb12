import { mapConcurrently } from '#base/system/concurrency.js';
import { dataplaneMode, useWaypoint } from '#base/kube/labels.js';
import type { Pod } from '#base/kube/types.js';
import type { MeshObserver } from '../mesh-observer.js';
import { describePod, type PodDescription } from './pod-report.js';

/** Pods that are described together. */
export interface PodGroup {
  readonly pods: readonly PodDescription[];
  /** Pods beyond the bound, not looked at. */
  readonly omittedCount: number;
}

/** More pods than this are counted, not described: each costs requests to its node. */
const podsMax = 200;
const concurrency = 8;

/** Describes pods, as many as the bound allows. `now` in milliseconds. */
export async function describeAll(
  observer: MeshObserver,
  members: readonly Pod[],
  now: number,
): Promise<PodGroup> {
  const looked = members.slice(0, podsMax);
  const pods = await mapConcurrently(
    looked,
    ({ metadata }) =>
      describePod(observer, { namespace: metadata.namespace ?? '', name: metadata.name, now }),
    concurrency,
  );
  return { pods, omittedCount: members.length - looked.length };
}

/** Labels by which an object is in the mesh, or bound to a waypoint. */
export function meshLabels(labels: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels ?? {}).filter(([key]) => key === dataplaneMode || key.startsWith(useWaypoint)),
  );
}
