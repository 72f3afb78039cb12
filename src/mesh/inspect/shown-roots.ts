import { X509Certificate } from 'node:crypto';
import type { ProxyTrust } from './trust.js';
import type { DumpCertificate } from './ztunnel-dump.js';

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
export function shownRoots(proxies: readonly ProxyTrust[]): readonly ShownRoot[] {
  const roots = new Map<string, { readonly certificate: X509Certificate; readonly proxies: Set<string> }>();
  for (const { proxy, identities } of proxies) {
    for (const certificate of identities.flatMap(({ rootCerts = [] }) =>
      rootCerts.flatMap(readCertificate),
    )) {
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

function readCertificate({ pem }: DumpCertificate): X509Certificate[] {
  if (pem === undefined) return [];
  try {
    return [new X509Certificate(Buffer.from(pem, 'base64'))];
  } catch {
    return [];
  }
}
