/** The name of the claim that is made for a generic ephemeral volume of a pod (kubernetes.io documentation, "Ephemeral Volumes"). */
export function ephemeralClaimName(pod: string, volume: string): string {
  return `${pod}-${volume}`;
}

/** The parts of an object that say whose it is. */
interface Owned {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly ownerReferences?: readonly { readonly uid: string; readonly controller?: boolean }[];
  };
}

/**
 * Why a claim with the name of a pod's ephemeral volume must not serve it: somebody else made
 * it, and its data are not the pod's. undefined: it was made for this pod.
 */
export function foreignClaimProblem(pod: Owned, claim: Owned): string | undefined {
  const controller = claim.metadata.ownerReferences?.find((each) => each.controller === true);
  if (controller !== undefined && controller.uid === pod.metadata.uid) return undefined;
  const namespace = pod.metadata.namespace ?? '';
  return `PVC ${namespace}/${claim.metadata.name} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`;
}
