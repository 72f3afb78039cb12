/** Trust domain the mesh uses unless told otherwise. */
export const defaultTrustDomain = 'cluster.local';

/** A checked workload identity, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export type SpiffeId = string & { readonly __brand: 'SpiffeId' };

/** What a SpiffeId is made of. */
export interface SpiffeParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** RFC 1123 label or subdomain as the API server admits it for namespaces and service accounts. */
const spiffeName = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?';
const spiffePattern = new RegExp(`^spiffe://(${spiffeName})/ns/(${spiffeName})/sa/(${spiffeName})$`);

/** Formats an identity; the parts come from the API server or from configuration and are not re-checked. */
export function formatSpiffeId(parts: SpiffeParts): SpiffeId {
  // The brand marks values built from or checked against the pattern.
  return `spiffe://${parts.trustDomain}/ns/${parts.namespace}/sa/${parts.serviceAccount}` as SpiffeId;
}

/** A parsed identity: its text and its parts. */
export interface ParsedSpiffe extends SpiffeParts {
  readonly id: SpiffeId;
}

/** Parses an identity; undefined when the text is not a workload identity of a mesh. */
export function parseSpiffe(text: string): ParsedSpiffe | undefined {
  const [id, trustDomain, namespace, serviceAccount] = spiffePattern.exec(text) ?? [];
  if (
    id === undefined ||
    trustDomain === undefined ||
    namespace === undefined ||
    serviceAccount === undefined
  ) {
    return undefined;
  }
  return { id: id as SpiffeId, trustDomain, namespace, serviceAccount };
}

/** Narrows text to a SpiffeId. */
export function isSpiffeId(text: string): text is SpiffeId {
  return spiffePattern.test(text);
}
