import { ephemeralClaimName } from '../../../base/ephemeral-claim.js';
import type { Pod } from '#base/kube/types.js';

/** A claim that a pod's volume names. */
export interface PodClaim {
  readonly name: string;
  /** The claim is made for this pod, and goes with it. */
  readonly isEphemeral: boolean;
}

/** The claims of a pod's volumes. */
export function claimsOf(pod: Pod): PodClaim[] {
  return (pod.spec.volumes ?? []).flatMap((volume): PodClaim[] => {
    if (volume.persistentVolumeClaim !== undefined)
      return [{ name: volume.persistentVolumeClaim.claimName, isEphemeral: false }];
    if (volume.ephemeral !== undefined)
      return [{ name: ephemeralClaimName(pod.metadata.name, volume.name), isEphemeral: true }];
    return [];
  });
}
