/** The name of the claim that is made for a generic ephemeral volume of a pod (kubernetes.io documentation, "Ephemeral Volumes"). */
export function ephemeralClaimName(pod: string, volume: string): string {
  return `${pod}-${volume}`;
}
