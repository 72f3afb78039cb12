import type { X509Certificate } from 'node:crypto';
import { KnownCertificates } from './known-certificates.js';
import type { ProxyTrust } from './trust.js';

/** A root that proxies trust. */
export interface ShownRoot {
  readonly subject: string;
  /** SHA-256, in hexadecimal without colons. */
  readonly fingerprint: string;
  readonly notAfter: string;
  /** Proxies that trust it. */
  readonly proxyCount: number;
}

/** The roots that any of the proxies trusts. */
export function shownRoots(
  proxies: readonly ProxyTrust[],
  certificates = new KnownCertificates(),
): readonly ShownRoot[] {
  const roots = new Map<string, { readonly certificate: X509Certificate; readonly proxies: Set<string> }>();
  for (const { proxy, identities } of proxies) {
    for (const certificate of new Set(identities.flatMap(({ rootCerts }) => certificates.of(rootCerts)))) {
      const known = roots.get(certificate.fingerprint256);
      if (known === undefined)
        roots.set(certificate.fingerprint256, { certificate, proxies: new Set([proxy]) });
      else known.proxies.add(proxy);
    }
  }
  return [...roots].map(([fingerprint, { certificate, proxies: trusting }]) => ({
    subject: certificate.subject.replaceAll('\n', ', '),
    fingerprint: fingerprint.replaceAll(':', '').toLowerCase(),
    notAfter: new Date(certificate.validTo).toISOString(),
    proxyCount: trusting.size,
  }));
}
