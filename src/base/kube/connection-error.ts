import { X509Certificate } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import { MeshError, messageOf } from '../errors/mesh-error.js';

/** Codes of OpenSSL (X509_verify_cert_error_string) as Node names them: nobody we trust vouches for the server. */
const untrustedCodes: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);

/** Why no answer came from an API server, for the person who asked. */
export function connectionError(error: unknown, server: string): MeshError {
  if (error instanceof MeshError) return error;
  const { code = '' } = error as NodeJS.ErrnoException;
  const told = { evidence: messageOf(error) || code, cause: error };
  if (untrustedCodes.has(code)) {
    return new MeshError(
      'MESH0212',
      `the certificate of ${server} is not signed by the authority that the kubeconfig trusts`,
      told,
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const what = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
    return new MeshError('MESH0212', `the certificate of ${server} ${what}`, {
      ...told,
      hint: 'Renew the certificate of the API server, or set the clock of this machine right.',
    });
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new MeshError('MESH0212', `the certificate of ${server} is for other names`, {
      ...told,
      hint: 'Use an address that the certificate names, or set tls-server-name of the cluster in the kubeconfig.',
    });
  }
  return new MeshError('MESH0201', `the cluster at ${server} cannot be reached`, told);
}

/**
 * What is wrong with the client certificate of a request that was refused for it: the server says no more than 401,
 * or ends the handshake. undefined when the certificate is valid, or not to blame.
 */
export function credentialError(
  error: Error | undefined,
  { cert, headers }: RequestOptions,
  nowMs: number,
): MeshError | undefined {
  const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
  // A reset can be all that is left of the alert, when the request was on its way already.
  const isAboutCertificate = error === undefined || code.startsWith('ERR_SSL_') || code === 'ECONNRESET';
  if (!isAboutCertificate || (typeof cert !== 'string' && !Buffer.isBuffer(cert))) return undefined;
  // Refused is then the token.
  const names = Object.keys(headers ?? {}).map((name) => name.toLowerCase());
  if (error === undefined && names.includes('authorization')) return undefined;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return undefined;
  }
  const { subject, validFrom, validTo } = certificate;
  const evidence = `subject: ${subject.split('\n').join(', ')}`;
  if (Date.parse(validTo) < nowMs) {
    return new MeshError('MESH0213', `the client certificate of the kubeconfig expired on ${validTo}`, {
      evidence,
      cause: error,
    });
  }
  if (Date.parse(validFrom) > nowMs) {
    return new MeshError(
      'MESH0213',
      `the client certificate of the kubeconfig is valid only from ${validFrom}`,
      {
        evidence,
        hint: 'Set the clock of this machine right.',
        cause: error,
      },
    );
  }
  return undefined;
}
