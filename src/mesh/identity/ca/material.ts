import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { MeshError } from '#base/errors/mesh-error.js';

/** Lifetime of a root this mesh generates, in seconds (upstream's CITADEL_SELF_SIGNED_CA_CERT_TTL). */
export const selfSignedRootTtlSeconds = 10 * 365 * 24 * 3600;

/** Clock skew tolerated between nodes: certificates start this long in the past. */
export const backdateMs = 2 * 60 * 1000;

/** A signing certificate with its key, as it is kept in a Secret or a mounted directory. PEM throughout. */
export interface CaMaterial {
  readonly certPem: string;
  /** Never logged, never sent. */
  readonly keyPem: string;
  /** Intermediates between the signing certificate and a root; empty for a self-signed root. */
  readonly chainPem: string;
  /** One or more roots. */
  readonly rootPem: string;
}

/** Makes a self-signed ECDSA P-256 root whose organization is the trust domain, as upstream's is. */
export async function generateRoot(trustDomain: string, now = new Date()): Promise<CaMaterial> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned(
    {
      keys,
      name: [{ O: [trustDomain] }],
      serialNumber: randomSerial(),
      notBefore: new Date(now.getTime() - backdateMs),
      notAfter: new Date(now.getTime() + selfSignedRootTtlSeconds * 1000),
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const certPem = `${cert.toString('pem')}\n`;
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certPem,
    keyPem: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    chainPem: '',
    rootPem: certPem,
  };
}

/** A key able to sign, with the algorithm its signatures use. */
export interface SigningKey {
  readonly key: CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash: string; readonly namedCurve?: string };
}

type CryptoKey = webcrypto.CryptoKey;

const curves: Readonly<Record<string, { namedCurve: string; hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};

/**
 * Imports a private key in any PEM form OpenSSL writes (PKCS#8, SEC1, PKCS#1).
 * Throws MESH0402 for a key that is neither RSA nor a NIST curve; the key text is not part of the error.
 */
export async function importSigningKey(keyPem: string): Promise<SigningKey> {
  const key = readPrivateKey(keyPem);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { key: await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), algorithm };
  }
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType !== 'ec' || curve === undefined) {
    throw new MeshError(
      'MESH0402',
      `the certificate authority's key type ${key.asymmetricKeyType} cannot sign here`,
    );
  }
  const algorithm = { name: 'ECDSA', ...curve };
  return { key: await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), algorithm };
}

/** A positive 128-bit serial number in hexadecimal. */
export function randomSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // A serial is a signed integer on the wire; clearing the top bit keeps it positive in 16 bytes,
  // and setting the next one keeps the leading byte from being zero.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

function readPrivateKey(keyPem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(keyPem);
  } catch {
    // OpenSSL's reason is dropped on purpose: it can quote the input.
    throw new MeshError('MESH0402', "the certificate authority's private key cannot be read");
  }
}
