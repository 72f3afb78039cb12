import { X509Certificate } from 'node:crypto';
import type { SpiffeId } from './spiffe.js';

/** What diagnostics show of one certificate. */
export interface CertificateInfo {
  readonly pem: string;
  /** Serial number in base 10. */
  readonly serialNumber: string;
  readonly validFromMs: number;
  readonly expiresMs: number;
}

/** A workload's key, certificate chain and the roots it trusts. Immutable: a renewal is a new object. */
export interface Credentials {
  readonly identity: SpiffeId;
  /** Leaf first, then intermediates; roots are not part of it. */
  readonly certChainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  readonly chain: readonly CertificateInfo[];
  readonly roots: readonly CertificateInfo[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, one string each. */
export function splitPem(pem: string): string[] {
  return pem.match(pemBlock) ?? [];
}

/** Reads the fields shown by diagnostics. Throws when the text is not a certificate. */
export function certificateInfo(pem: string): CertificateInfo {
  const certificate = new X509Certificate(pem);
  return {
    pem,
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFromMs: Date.parse(certificate.validFrom),
    expiresMs: Date.parse(certificate.validTo),
  };
}

/** The same key and certificate with other roots to trust. */
export function withRoots(credentials: Credentials, roots: readonly string[]): Credentials {
  const unique = [...new Set(roots)];
  return {
    ...credentials,
    rootsPem: unique.map((pem) => `${pem}\n`).join(''),
    roots: unique.map(certificateInfo),
  };
}

/** Assembles credentials from PEM texts. Throws when a certificate cannot be read or the chain is empty. */
export function makeCredentials(options: {
  identity: SpiffeId;
  certChainPem: string;
  keyPem: string;
  rootsPem: string;
}): Credentials {
  const chain = splitPem(options.certChainPem).map(certificateInfo);
  const roots = splitPem(options.rootsPem).map(certificateInfo);
  const leaf = chain[0];
  if (leaf === undefined) throw new Error('the certificate chain is empty');
  return { ...options, chain, roots, notBeforeMs: leaf.validFromMs, notAfterMs: leaf.expiresMs };
}
