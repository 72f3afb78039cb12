import type { CertificateState } from './certificate-manager.js';
import type { CertificateInfo } from './credentials.js';

/** One certificate as proxies' state dumps show it; keys are upstream's (istio/ztunnel src/admin.rs). */
export type DumpedCertificate = {
  /** Base64 of the PEM text. */
  pem: string;
  /** Base 10. */
  serialNumber: string;
  /** RFC 3339, whole seconds. */
  validFrom: string;
  expirationTime: string;
};

/** One identity in a state dump. Holds no key. */
export type DumpedIdentity = {
  identity: string;
  state: string;
  certChain: DumpedCertificate[];
  rootCerts: DumpedCertificate[];
};

/** An identity and its certificates for a state dump. */
export function dumpCertificate(state: CertificateState): DumpedIdentity {
  return {
    identity: state.identity,
    state: state.state,
    certChain: (state.credentials?.chain ?? []).map(dump),
    rootCerts: (state.credentials?.roots ?? []).map(dump),
  };
}

function dump(info: CertificateInfo): DumpedCertificate {
  return {
    pem: Buffer.from(info.pem).toString('base64'),
    serialNumber: info.serialNumber,
    validFrom: wholeSeconds(info.validFromMs),
    expirationTime: wholeSeconds(info.expiresMs),
  };
}

function wholeSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
