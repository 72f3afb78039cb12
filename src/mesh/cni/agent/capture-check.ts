import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { PodRedirection } from '../redirection/pod-redirection.js';
import type { PodMesh } from './pod-mesh.js';

/** What is missing of a pod's redirection right now, in words; nothing when the agent did not capture the pod. */
export async function checkCapture(
  deps: { readonly pods: Reflector<Pod>; readonly mesh: PodMesh; readonly redirection: PodRedirection },
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<readonly string[]> {
  const uid = deps.pods.get(namespace, name)?.metadata.uid ?? '';
  const netns = deps.mesh.get(uid)?.netns?.retain();
  if (netns === undefined) return [];
  try {
    const rules = deps.mesh.get(uid)?.rules;
    return rules === undefined ? [] : (await deps.redirection.inspect(netns.fd, rules)).missing;
  } finally {
    netns.release();
  }
}
