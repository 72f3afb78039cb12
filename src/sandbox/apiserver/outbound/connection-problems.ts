import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { formatHostPort } from '#base/net/authority.js';
import { messageOf } from '#base/errors/mesh-error.js';

/** Only subject alternative names count, as in Go. */
export function identityProblem(serverName: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname === undefined) {
    return new Error(
      'tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead',
    );
  }
  if (checkServerIdentity(serverName, certificate) === undefined) return undefined;
  const names = certificate.subjectaltname.split(', ').map((n) => n.replace(/^[^:]*:/, ''));
  return new Error(
    `tls: failed to verify certificate: x509: certificate is valid for ${names.join(', ')}, not ${serverName}`,
  );
}

const unknownAuthority: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const dialProblems: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
};

/** A failure to connect, in the words of a Go client. */
export function networkProblem(error: unknown, host: string, port: number, serverName: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const dial = dialProblems[code];
  if (dial !== undefined) return `dial tcp ${formatHostPort({ host, port })}: ${dial}`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${host}: no such host`;
  if (unknownAuthority.has(code)) {
    return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  }
  if (code === 'ECONNRESET') return 'EOF';
  const text = messageOf(error);
  return /wrong version number|packet length too long/.test(text)
    ? 'http: server gave HTTP response to HTTPS client'
    : text.replace(/^.*?(?=tls: )/, '') || `no answer from ${serverName}`;
}
