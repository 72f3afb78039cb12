import type { X509Certificate } from 'node:crypto';
import { groupBy } from '#base/collections/group-by.js';
import { rootOf } from '../identity/chain.js';
import { KnownCertificates } from './known-certificates.js';
import type { DumpIdentity } from './ztunnel-dump.js';

/** A proxy with the identities it speaks for, as it shows them. */
export interface ProxyTrust {
  /** `ztunnel-abc on node-1`, `waypoint shop/waypoint`. */
  readonly proxy: string;
  readonly identities: readonly DumpIdentity[];
}

/** A certificate in use that a proxy would refuse. */
export interface Distrust {
  /** The proxy that refuses. */
  readonly proxy: string;
  /** The proxy whose certificate it refuses, and for whom it was issued. */
  readonly holder: string;
  readonly identity: string;
  /** Issuer of the certificate. */
  readonly issuer: string;
}

/**
 * Certificates that do not lead to a root which the other proxies trust: calls between such proxies fail, in both
 * directions. One entry for each pair of proxies, with the first such identity. What a proxy does not show (upstream's
 * leaves certificates out that it has not fetched) counts neither way.
 */
export function distrustBetween(proxies: readonly ProxyTrust[]): readonly Distrust[] {
  const certificates = new KnownCertificates();
  const read = proxies.map(({ proxy, identities }) => ({
    proxy,
    holders: identities.flatMap(({ identity, certChain }) => {
      const chain = certificates.of(certChain);
      return chain.length === 0 ? [] : [{ identity, chain }];
    }),
    roots: unique(identities.flatMap(({ rootCerts }) => certificates.of(rootCerts))),
  }));
  // Almost all proxies trust the same roots: each certificate is verified once for each such set, not for each proxy.
  const bundles = groupBy(
    read.filter(({ roots }) => roots.length > 0),
    ({ roots }) =>
      roots
        .map(({ fingerprint256 }) => fingerprint256)
        .sort()
        .join(),
  );
  return [...bundles.values()].flatMap((trusting) => {
    const roots = trusting[0]?.roots ?? [];
    const refused = read.flatMap(({ proxy: holder, holders }) => {
      const found = holders.find(({ chain }) => rootOf(chain, roots) === undefined);
      if (found === undefined) return [];
      const issuer = found.chain[0]?.issuer.replaceAll('\n', ', ') || 'unknown';
      return [{ holder, identity: found.identity, issuer }];
    });
    return trusting.flatMap(({ proxy }) => refused.map((one) => ({ proxy, ...one })));
  });
}

/** What to say of it in one line. */
export function distrustText({ proxy, holder, identity, issuer }: Distrust): string {
  return `${proxy} does not trust the certificate of ${identity} at ${holder} (issued by ${issuer})`;
}

function unique(certificates: readonly X509Certificate[]): X509Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate])).values()];
}
