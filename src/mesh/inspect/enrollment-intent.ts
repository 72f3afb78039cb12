import { dataplaneMode, sidecarStatus } from '#base/kube/labels.js';
import type { Namespace, Pod } from '#base/kube/types.js';

export interface EnrollmentIntent {
  readonly isEnrolled: boolean;
  /** The label (or its absence) that decides. */
  readonly reason: string;
}

/**
 * Whether labels ask for a pod to be captured (reference/ztunnel-and-cni.md 7.4): the
 * pod's label wins over the namespace's; host-network pods and pods with a sidecar never are.
 */
export function enrollmentIntent(pod: Pod, namespace: Namespace | undefined): EnrollmentIntent {
  const podMode = pod.metadata.labels?.[dataplaneMode];
  const namespaceMode = namespace?.metadata.labels?.[dataplaneMode];
  const no = (reason: string): EnrollmentIntent => ({ isEnrolled: false, reason });
  if (pod.spec.hostNetwork === true) return no('the pod uses the host network, which is never captured');
  if (pod.metadata.annotations?.[sidecarStatus] !== undefined) return no('the pod has a sidecar');
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return no('the pod has ended');
  if (podMode === 'none') return no(`pod label ${dataplaneMode}=none`);
  if (podMode === 'ambient') return { isEnrolled: true, reason: `pod label ${dataplaneMode}=ambient` };
  if (namespaceMode === 'ambient')
    return { isEnrolled: true, reason: `namespace label ${dataplaneMode}=ambient` };
  return no(`neither the pod nor its namespace has the label ${dataplaneMode}=ambient`);
}
