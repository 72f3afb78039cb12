import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { daemonSets, deployments } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { isOurs } from '../apply/field-manager.js';
import { nameOf } from '../apply/plan-changes.js';

/** Control planes and node agents of an Istio that meshctl did not install. */
export async function foreignMesh(client: KubeClient): Promise<KubeObject[]> {
  const [controllers, agents, proxies] = await Promise.all([
    client.list<KubeObject>(deployments, { labelSelector: 'app=istiod' }),
    client.list<KubeObject>(daemonSets, { labelSelector: 'k8s-app=istio-cni-node' }),
    client.list<KubeObject>(daemonSets, { labelSelector: 'app=ztunnel' }),
  ]);
  return [...controllers, ...agents, ...proxies].filter((object) => !isOurs(object));
}

/** Two meshes would fight over every pod's traffic. @throws MESH0305 */
export async function requireNoForeignMesh(client: KubeClient): Promise<void> {
  const found = await foreignMesh(client);
  if (found.length === 0) return;
  const version = found[0]?.metadata.labels?.['operator.istio.io/version'];
  throw new MeshError('MESH0305', 'another Istio is installed in this cluster; nothing was changed', {
    evidence: `${found.map(nameOf).join(', ')}${version === undefined ? '' : ` (version ${version})`}`,
    hint: 'Remove it first: "istioctl uninstall --purge" if istioctl installed it, "helm uninstall" if Helm did.',
  });
}

/** Installations by meshctl in other namespaces: one cluster has one mesh. */
export async function requireOneNamespace(client: KubeClient, namespace: string): Promise<void> {
  const controllers = await client.list<KubeObject>(deployments, { labelSelector: 'app=istiod' });
  const other = controllers.find((d) => isOurs(d) && d.metadata.namespace !== namespace);
  if (other === undefined) return;
  throw new MeshError('MESH0305', `the mesh is already installed in namespace ${other.metadata.namespace}`, {
    hint: `Add --istio-namespace ${other.metadata.namespace}.`,
  });
}
