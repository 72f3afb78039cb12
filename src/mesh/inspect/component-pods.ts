import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { podHttp } from '#base/kube/port-forward.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';

/** Admin port of the node proxy, the CNI agent and the waypoint, on the pod's loopback. */
export const adminPort = 15000;
/** Where the controller shows its connections and options, on its own loopback. */
export const controllerDebugPort = 8080;

/** Label selectors of the components' pods; upstream's. */
export const componentSelectors = {
  controller: 'app=istiod',
  ztunnel: 'app=ztunnel',
  cni: 'k8s-app=istio-cni-node',
} as const;

export type Component = keyof typeof componentSelectors;

/** Running pods of a component, by node name. */
export async function componentPods(
  client: KubeClient,
  component: Component,
  meshNamespace: string,
): Promise<readonly Pod[]> {
  const all = await client.list<Pod>(pods, {
    namespace: meshNamespace,
    labelSelector: componentSelectors[component],
  });
  return all
    .filter((p) => p.status?.phase === 'Running' && p.metadata.deletionTimestamp === undefined)
    .sort((a, b) => (a.spec.nodeName ?? '').localeCompare(b.spec.nodeName ?? ''));
}

/** Whether the pod's Ready condition holds. */
export function isPodReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
}

/** The pod of a component on a node, a ready one first; undefined when there is none. */
export function podOnNode(candidates: readonly Pod[], node: string | undefined): Pod | undefined {
  const here = candidates.filter((p) => p.spec.nodeName === node);
  return here.find(isPodReady) ?? here[0];
}

/** GET from a pod's admin port, parsed; `date` is the time by the pod's clock. Rejects with MESH0210 (no connection) or MESH0901 (unusable answer). */
export async function adminGet<T>(
  client: KubeClient,
  pod: Pod,
  path: string,
  parse: (text: string, date: string | undefined) => T,
): Promise<T> {
  const at = { namespace: pod.metadata.namespace ?? '', pod: pod.metadata.name, port: adminPort };
  const { status, body, date } = await podHttp(client, { ...at, path });
  const excerptMaxChars = 200;
  if (status !== 200) {
    throw new MeshError('MESH0901', `Pod ${at.namespace}/${at.pod} answered ${status} to ${path}`, {
      evidence: body.slice(0, excerptMaxChars),
    });
  }
  try {
    return parse(body, date);
  } catch (error) {
    throw new MeshError('MESH0901', `the answer of Pod ${at.namespace}/${at.pod} to ${path} cannot be read`, {
      evidence: body.slice(0, excerptMaxChars),
      cause: error,
    });
  }
}
