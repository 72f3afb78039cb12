import type { ProxyTrust } from '../trust.js';
import { type ShownRoot, shownRoots } from '../shown-roots.js';

/** The certificates in use in the mesh, as proxies show them. */
export interface CertificateSummary {
  /** Certificates in use, and how many of them are valid now. */
  readonly count: number;
  readonly validCount: number;
  /** The end of the one that ends first; undefined without certificates. */
  readonly firstExpiry: string | undefined;
  readonly roots: readonly ShownRoot[];
}

/** Sums up what proxies show of their certificates and of the roots they trust. `now` in milliseconds. */
export function certificateSummary(proxies: readonly ProxyTrust[], now: number): CertificateSummary {
  const leaves = proxies.flatMap(({ identities }) =>
    identities.flatMap(({ state, certChain }) => {
      const leaf = certChain?.[0];
      return leaf === undefined ? [] : [{ state, leaf }];
    }),
  );
  const isValid = ({ state, leaf }: (typeof leaves)[number]): boolean =>
    state === 'Available' && Date.parse(leaf.validFrom) <= now && now < Date.parse(leaf.expirationTime);
  const ends = leaves.map(({ leaf }) => leaf.expirationTime).sort((a, b) => Date.parse(a) - Date.parse(b));
  return {
    count: leaves.length,
    validCount: leaves.filter(isValid).length,
    firstExpiry: ends[0],
    roots: shownRoots(proxies),
  };
}
