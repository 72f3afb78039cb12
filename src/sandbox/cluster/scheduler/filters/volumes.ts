import { foreignClaimProblem } from '../../../base/ephemeral-claim.js';
import type { Pod } from '#base/kube/types.js';
import { claimsOf, type PodClaim } from '../../controllers/storage/pod-claims.js';
import type { PersistentVolumeClaim } from '../../controllers/storage/storage-objects.js';
import { findVolume, isReachable } from '../../controllers/storage/volume-match.js';
import type { Filter, VolumeView } from '../cluster-view.js';

/** The provisioner of classes whose volumes are made by hand. */
const noProvisioner = 'kubernetes.io/no-provisioner';

/** Claims must exist, and the node must reach their volumes, or volumes must be possible there. */
export const reachableVolumes: Filter = (pod, { volumes }) => {
  const namespace = pod.metadata.namespace ?? '';
  const named = claimsOf(pod);
  const refusal = named.map((each) => problemOf(each, pod, volumes)).find((reason) => reason !== undefined);
  const claims = named.flatMap(({ name }) => volumes.claim(namespace, name) ?? []);
  return ({ node }) => {
    if (refusal !== undefined) return { reason: refusal, isResolvable: false, isAboutPod: true };
    for (const claim of claims) {
      const bound = volumes.volume(claim.spec.volumeName ?? '');
      if (bound !== undefined) {
        if (!isReachable(bound, node))
          return { reason: 'node(s) had volume node affinity conflict', isResolvable: false };
      } else if (!isProvisioned(claim, volumes) && findVolume(claim, volumes.all(), node) === undefined)
        return { reason: "node(s) didn't find available persistent volumes to bind", isResolvable: false };
    }
    return undefined;
  };
};

/** Claims of a pod that wait for the scheduler to name a node. */
export function claimsWithoutVolume(pod: Pod, volumes: VolumeView): PersistentVolumeClaim[] {
  const namespace = pod.metadata.namespace ?? '';
  return claimsOf(pod)
    .flatMap(({ name }) => volumes.claim(namespace, name) ?? [])
    .filter((claim) => claim.status?.phase !== 'Bound');
}

function problemOf({ name, isEphemeral }: PodClaim, pod: Pod, volumes: VolumeView): string | undefined {
  const claim = volumes.claim(pod.metadata.namespace ?? '', name);
  if (claim === undefined)
    return isEphemeral
      ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
      : `persistentvolumeclaim "${name}" not found`;
  if (claim.status?.phase === 'Lost')
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`;
  if (claim.metadata.deletionTimestamp !== undefined)
    return `persistentvolumeclaim "${name}" is being deleted`;
  const foreign = isEphemeral ? foreignClaimProblem(pod, claim) : undefined;
  if (foreign !== undefined) return foreign;
  if (claim.status?.phase === 'Bound' || waitsForPod(claim, volumes)) return undefined;
  return 'pod has unbound immediate PersistentVolumeClaims';
}

function waitsForPod(claim: PersistentVolumeClaim, volumes: VolumeView): boolean {
  return (
    volumes.storageClass(claim.spec.storageClassName ?? '')?.volumeBindingMode === 'WaitForFirstConsumer'
  );
}

function isProvisioned(claim: PersistentVolumeClaim, volumes: VolumeView): boolean {
  const provisioner = volumes.storageClass(claim.spec.storageClassName ?? '')?.provisioner;

  return provisioner !== undefined && provisioner !== noProvisioner;
}
