import { X509Certificate } from 'node:crypto';
import type { DumpCertificate } from './ztunnel-dump.js';

/** Certificates that were read already: roots and intermediates are the same with every identity of every proxy. */
export class KnownCertificates {
  readonly #known = new Map<string, X509Certificate | undefined>();

  /** Those of a chain that can be read. */
  of(dumped: readonly DumpCertificate[] | undefined): readonly X509Certificate[] {
    return (dumped ?? []).flatMap(({ pem }) => (pem === undefined ? [] : (this.#read(pem) ?? [])));
  }

  #read(pem: string): X509Certificate | undefined {
    if (this.#known.has(pem)) return this.#known.get(pem);
    const certificate = readCertificate(pem);
    this.#known.set(pem, certificate);
    return certificate;
  }
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(pem, 'base64'));
  } catch {
    return undefined;
  }
}
