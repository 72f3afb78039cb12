import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { PodRedirection } from '../redirection/pod-redirection.js';
import type { PodMesh } from './pod-mesh.js';

/** What is missing of a pod's redirection right now, or overrides it, in words; nothing when the agent did not capture the pod. */
export async function checkCapture(
  deps: { readonly pods: Reflector<Pod>; readonly mesh: PodMesh; readonly redirection: PodRedirection },
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<readonly string[]> {
  const uid = deps.pods.get(namespace, name)?.metadata.uid ?? '';
  const netns = deps.mesh.get(uid)?.netns?.retain();
  if (netns === undefined) return [];
  try {
    const rules = deps.mesh.get(uid)?.rules;
    if (rules === undefined) return [];
    const found = await deps.redirection.inspect(netns.fd, rules);
    return [
      ...found.missing,
      ...[...found.unexpected, ...found.ahead, ...found.immovable].map((rule) => `overridden by ${rule}`),
    ];
  } finally {
    netns.release();
  }
}
