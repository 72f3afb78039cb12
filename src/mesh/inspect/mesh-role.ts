import { gatewayClassName, gatewayManaged, gatewayName, waypointClass } from '#base/kube/labels.js';
import type { Pod } from '#base/kube/types.js';

/** What a pod of the mesh itself is, in words; undefined for any other pod. */
export function meshRole(pod: Pod, meshNamespace: string): string | undefined {
  const { namespace, labels = {} } = pod.metadata;
  const gateway = labels[gatewayName];
  if (gateway !== undefined && labels[gatewayManaged] !== undefined) {
    const kind = labels[gatewayClassName] === waypointClass ? 'waypoint' : 'gateway';
    return `an instance of ${kind} ${namespace}/${gateway}`;
  }
  if (namespace !== meshNamespace) return undefined;
  if (labels['app'] === 'istiod') return 'the controller of the mesh';
  if (labels['app'] === 'ztunnel') return `the node proxy of ${pod.spec.nodeName ?? 'no node yet'}`;
  if (labels['k8s-app'] === 'istio-cni-node') return `the CNI agent of ${pod.spec.nodeName ?? 'no node yet'}`;
  return undefined;
}
