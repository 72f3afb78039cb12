import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { daemonSets, deployments } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { componentSelectors } from '../component-pods.js';
import type { Finding } from '../findings/finding.js';

/** Code of {@link absenceOfMesh}. */
export const absentMeshCode = 'MESH0956';

/** That no mesh is installed in the namespace, with where one is; undefined when one is, or nobody can tell. */
export async function absenceOfMesh(client: KubeClient, meshNamespace: string): Promise<Finding | undefined> {
  const here = await controlPlaneNamespaces(client, meshNamespace);
  if (here === undefined || here.length > 0) return undefined;
  const others = (await controlPlaneNamespaces(client)) ?? [];
  const [other] = others;
  return {
    code: absentMeshCode,
    severity: 'error',
    message: `no mesh is installed in namespace ${meshNamespace}`,
    subject: { kind: 'Namespace', name: meshNamespace },
    evidence:
      other === undefined
        ? ['no Deployment istiod and no DaemonSet ztunnel there']
        : [`istiod or ztunnel is installed in: ${others.join(', ')}`],
    fix: other === undefined ? 'meshctl install' : `Add --istio-namespace ${other}.`,
  };
}

/** Namespaces with a controller or a node proxy; undefined when the user may not look. */
async function controlPlaneNamespaces(
  client: KubeClient,
  namespace?: string,
): Promise<readonly string[] | undefined> {
  try {
    const found = await Promise.all([
      client.list<KubeObject>(deployments, { namespace, labelSelector: componentSelectors.controller }),
      client.list<KubeObject>(daemonSets, { namespace, labelSelector: componentSelectors.ztunnel }),
    ]);
    return [...new Set(found.flat().map(({ metadata }) => metadata.namespace ?? ''))].sort();
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
