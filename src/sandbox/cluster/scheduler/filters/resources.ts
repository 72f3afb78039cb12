import { parseQuantity } from '../../../base/quantity.js';
import type { Container, Pod } from '#base/kube/types.js';
import { isFinished } from '../../controllers/pod-state.js';
import type { Filter } from '../cluster-view.js';

/** The sum of decimal fractions is not exact; a millionth of a core is no reason to refuse. */
const tolerance = 1e-6;

/** Requests of the pods of a node, together with this one's, must fit into what the node gives. */
export const freeResources: Filter = (pod) => {
  const wanted = [...requestsOf(pod)].filter(([, amount]) => amount > 0);
  return ({ node, pods }) => {
    const allocatable = node.status?.allocatable;
    // A node that has not reported what it has refuses nothing on these grounds.
    if (allocatable === undefined) return undefined;
    const living = pods.filter((each) => !isFinished(each));
    const podsMax = parseQuantity(allocatable['pods']);
    if (podsMax !== undefined && living.length + 1 > podsMax)
      return { reason: 'Too many pods', isResolvable: true };
    for (const [resource, amount] of wanted) {
      const has = parseQuantity(allocatable[resource]) ?? 0;
      const used = living.reduce((total, each) => total + requestOf(each, resource), 0);
      if (used + amount > has + tolerance)
        return { reason: `Insufficient ${resource}`, isResolvable: amount <= has + tolerance };
    }
    return undefined;
  };
};

/** What a pod occupies of every resource it names. */
export function requestsOf(pod: Pod): Map<string, number> {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const names = new Set([
    ...containers.flatMap((each) => Object.keys(each.resources?.requests ?? {})),
    ...Object.keys(pod.spec.overhead ?? {}),
  ]);
  return new Map([...names].map((name) => [name, requestOf(pod, name)]));
}

/**
 * What a pod occupies of one resource: its containers and sidecars together, or
 * the most that an init container needs beside the sidecars started before it,
 * if that is more; plus the overhead of its runtime (kubernetes.io
 * documentation, "Sidecar Containers": resource sharing).
 */
export function requestOf(pod: Pod, resource: string): number {
  const of = (container: Container): number => parseQuantity(container.resources?.requests?.[resource]) ?? 0;
  let sidecars = 0;
  let startingMax = 0;
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars += of(container);
    else startingMax = Math.max(startingMax, sidecars + of(container));
  }
  const running = pod.spec.containers.reduce((total, each) => total + of(each), sidecars);
  return Math.max(running, startingMax) + (parseQuantity(pod.spec.overhead?.[resource]) ?? 0);
}
