import { pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import type { ObjectCache } from '../cache/object-cache.js';
import type { ClusterControllerDeps } from '../controllers/controller.js';

/** Assigns a pod to a node. */
export async function bind(
  deps: ClusterControllerDeps,
  pods: ObjectCache<Pod>,
  o: { readonly pod: Pod; readonly node: string },
): Promise<void> {
  const { name, namespace = '', uid } = o.pod.metadata;
  await deps.client.create(
    podResource,
    {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) },
      target: { apiVersion: 'v1', kind: 'Node', name: o.node },
    },
    { namespace, name, subresource: 'binding' },
  );
  // The binding answers with a Status; the next decision must see the pod on its node all the same.
  pods.rememberChange({ ...o.pod, spec: { ...o.pod.spec, nodeName: o.node } });
}
