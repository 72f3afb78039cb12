import type { KubeClient } from '#base/kube/client.js';
import { nodes } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';

/** What the installer found out about the cluster by itself. */
export interface PlatformFacts {
  /** Version of the API server, such as v1.32.1. */
  readonly version: string;
  /** gke, k3s, ...; empty for plain Kubernetes. */
  readonly platform: string;
  /** Why, for the person: what was seen. */
  readonly platformReason: string;
  readonly nodeCount: number;
}

interface NodeObject extends KubeObject {
  readonly status?: { readonly nodeInfo?: { readonly kubeletVersion?: string; readonly osImage?: string } };
}

/** Looks at the API server and the nodes. A person who may not list nodes gets plain Kubernetes and is told so. */
export async function detectCluster(client: KubeClient, signal: AbortSignal): Promise<PlatformFacts> {
  const version = await client.request<{ gitVersion?: string }>({ method: 'GET', path: '/version', signal });
  const gitVersion = version.gitVersion ?? 'unknown';
  let list: readonly NodeObject[] = [];
  let note = '';
  try {
    list = await client.list<NodeObject>(nodes, { signal });
  } catch (error) {
    signal.throwIfAborted();
    note = ` (nodes cannot be listed: ${error instanceof Error ? error.message : String(error)})`;
  }
  const found = platformOf(gitVersion, list);
  return {
    version: gitVersion,
    platform: found?.platform ?? '',
    platformReason: (found?.reason ?? 'no sign of a special platform') + note,
    nodeCount: list.length,
  };
}

/** Which platform these nodes run on, and what shows it. */
export function platformOf(
  gitVersion: string,
  list: readonly NodeObject[],
): { platform: string; reason: string } | undefined {
  const node = list[0];
  const kubelet = node?.status?.nodeInfo?.kubeletVersion ?? gitVersion;
  const labels = node?.metadata.labels ?? {};
  const name = node?.metadata.name ?? '';
  if (gitVersion.includes('-gke') || kubelet.includes('-gke')) {
    return { platform: 'gke', reason: `version ${gitVersion}` };
  }
  if (kubelet.includes('+k3s')) {
    // k3d runs k3s in containers, whose plugin folder is another one.
    const isK3d = name.startsWith('k3d-');
    return { platform: isK3d ? 'k3d' : 'k3s', reason: `node ${name} runs ${kubelet}` };
  }
  const signs: readonly [string, string][] = [
    ['microk8s.io/cluster', 'microk8s'],
    ['minikube.k8s.io/version', 'minikube'],
    ['node.openshift.io/os_id', 'openshift'],
  ];
  for (const [label, platform] of signs) {
    if (labels[label] !== undefined) return { platform, reason: `node ${name} has label ${label}` };
  }
  return undefined;
}
