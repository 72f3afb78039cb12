import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SpiffeId } from './spiffe.js';

/** A fresh private key (PKCS#8 PEM) and a certificate request for one identity. */
export interface SigningRequest {
  readonly keyPem: string;
  readonly csrPem: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * Makes a P-256 key and a request with an empty subject and one critical subject alternative name,
 * the SPIFFE URI: the form upstream's node proxy sends.
 */
export async function createSigningRequest(identity: SpiffeId): Promise<SigningRequest> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identity }], true)],
    },
    webcrypto,
  );
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { keyPem: x509.PemConverter.encode(der, 'PRIVATE KEY'), csrPem: csr.toString('pem') };
}
