import type { X509Certificate } from 'node:crypto';

/** Whether one certificate was signed by another, names and key both. */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/**
 * The root to which a chain leads, of those given; undefined when it leads to none. The chain begins with the
 * certificate in question; the order of its other members does not matter. A certificate that is itself a root leads
 * to itself.
 */
export function rootOf(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): X509Certificate | undefined {
  const [first, ...links] = chain;
  let at = first;
  // Each link is used once at most, so the walk ends.
  for (let step = 0; at !== undefined && step <= links.length; step++) {
    const here = at;
    const root = roots.find((candidate) => candidate.raw.equals(here.raw) || isSignedBy(here, candidate));
    if (root !== undefined) return root;
    at = links.find((link) => !link.raw.equals(here.raw) && isSignedBy(here, link));
  }
  return undefined;
}
