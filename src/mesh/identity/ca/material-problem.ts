import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { rootOf } from '../chain.js';
import { splitPem } from '../credentials.js';
import type { CaMaterial } from './material.js';

/** Keys of the Secret, and files of the folder, that hold the parts of an authority; upstream's names. */
export const materialKeys = {
  certPem: 'ca-cert.pem',
  keyPem: 'ca-key.pem',
  rootPem: 'root-cert.pem',
  chainPem: 'cert-chain.pem',
} as const satisfies Readonly<Record<keyof CaMaterial, string>>;

/**
 * What keeps material from being a certificate authority, with the key of the Secret that holds it; undefined when it
 * is one, though it may have expired ({@link expiryProblem}). Nothing of the contents is in the text.
 */
export function materialProblem(material: CaMaterial): string | undefined {
  const signers = readCertificates(material, 'certPem');
  if (typeof signers === 'string') return signers;
  const [signer] = signers;
  if (signer === undefined) return `${materialKeys.certPem} holds no certificate`;
  const key = readKey(material.keyPem);
  if (typeof key === 'string') return key;
  if (!signer.checkPrivateKey(key)) {
    return `${materialKeys.keyPem} is not the key of the certificate in ${materialKeys.certPem}`;
  }
  if (!signer.ca) return `the certificate in ${materialKeys.certPem} may not sign certificates`;
  const roots = readCertificates(material, 'rootPem');
  if (typeof roots === 'string') return roots;
  if (roots.length === 0) return `${materialKeys.rootPem} holds no certificate`;
  const chain = readCertificates(material, 'chainPem');
  if (typeof chain === 'string') return chain;
  return rootOf([...signers, ...chain], roots) === undefined
    ? `the certificate in ${materialKeys.certPem} does not lead to a root in ${materialKeys.rootPem}`
    : undefined;
}

/**
 * That the signing certificate of sound material has expired; undefined when it has not. The controller starts with it
 * all the same: it signs nothing more, but proxies keep their configuration. `now` in milliseconds.
 */
export function expiryProblem({ certPem }: CaMaterial, now: number): string | undefined {
  const end = Date.parse(new X509Certificate(certPem).validTo);
  return end < now
    ? `the certificate in ${materialKeys.certPem} expired on ${new Date(end).toISOString()}`
    : undefined;
}

function readCertificates(
  material: CaMaterial,
  part: 'certPem' | 'rootPem' | 'chainPem',
): readonly X509Certificate[] | string {
  const blocks = splitPem(material[part]);
  const isText = material[part].trim() !== '';
  if (blocks.length === 0 && isText) return `${materialKeys[part]} is not a certificate in PEM form`;
  try {
    return blocks.map((pem) => new X509Certificate(pem));
  } catch {
    return `${materialKeys[part]} is damaged: it has the form of a certificate and cannot be read as one`;
  }
}

function readKey(pem: string): KeyObject | string {
  if (pem.trim() === '') return `${materialKeys.keyPem} is empty`;
  try {
    return createPrivateKey(pem);
  } catch {
    // OpenSSL's reason is dropped on purpose: it can quote the input.
    return `${materialKeys.keyPem} cannot be read as a private key`;
  }
}
