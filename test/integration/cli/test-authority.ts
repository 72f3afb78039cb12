import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface LeafTerms {
  readonly dns?: string;
  readonly ip?: string;
  readonly commonName?: string;
  readonly notAfter?: Date;
}

/** A certificate authority for TLS between a test's own programs. */
export async function makeAuthority(): Promise<{
  readonly caPem: string;
  issue(terms: LeafTerms): Promise<{ certPem: string; keyPem: string }>;
}> {
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  const generate = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const keys = await generate();
  const name = 'CN=test authority';
  const notBefore = new Date('2020-01-01T00:00:00Z');
  const forever = new Date('2090-01-01T00:00:00Z');
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name,
    notBefore,
    notAfter: forever,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  let serial = 1;
  return {
    caPem: ca.toString('pem'),
    async issue({ dns, ip, commonName = 'leaf', notAfter = forever }) {
      const own = await generate();
      const names = [
        ...(dns === undefined ? [] : [{ type: 'dns' as const, value: dns }]),
        ...(ip === undefined ? [] : [{ type: 'ip' as const, value: ip }]),
      ];
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: (++serial).toString(16).padStart(2, '0'),
        subject: `CN=${commonName}`,
        issuer: name,
        notBefore,
        notAfter,
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
      });
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64');
      const lines = key.replaceAll(/(.{64})/g, '$1\n');
      return {
        certPem: leaf.toString('pem'),
        keyPem: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
      };
    },
  };
}
