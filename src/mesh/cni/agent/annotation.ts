import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { redirection } from '#base/kube/labels.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import type { AnnotatedRedirection } from '../../rules/enrollment.js';
import type { ZdsWorkload } from '../zds/messages.js';

/**
 * Writes the redirection annotation of a pod, or with undefined removes it: a merge
 * patch of the status subresource. The UID in it keeps it off a successor of the same
 * name. A pod that is gone needs none: that is no error.
 */
export async function annotatePod(
  client: KubeClient,
  workload: ZdsWorkload,
  state: AnnotatedRedirection | undefined,
): Promise<void> {
  const { uid, namespace, name } = workload;
  try {
    await client.patch<Pod>(
      { resource: pods, namespace, name, subresource: 'status' },
      { metadata: { uid, annotations: { [redirection]: state ?? null } } },
    );
  } catch (error) {
    if (isNotFound(error)) return;
    const now = await client.getOrUndefined<Pod>({ resource: pods, namespace, name });
    if (now?.metadata.uid === uid) throw error;
  }
}
