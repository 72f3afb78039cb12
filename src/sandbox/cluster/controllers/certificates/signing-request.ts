import type { Resource } from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';

/** certificates.k8s.io/v1 CertificateSigningRequest. */
export interface CertificateSigningRequest extends KubeObject {
  spec: {
    /** PEM, in base64. */
    request: string;
    signerName: string;
    usages?: string[];
    expirationSeconds?: number;
    username?: string;
    uid?: string;
    groups?: string[];
    extra?: Record<string, string[]>;
  };
  status?: {
    conditions?: Condition[];
    /** PEM, in base64. */
    certificate?: string;
  };
}

export const signingRequests: Resource = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  isNamespaced: false,
};

/** The condition of a type that is true. */
export function trueCondition(csr: CertificateSigningRequest, type: string): Condition | undefined {
  return csr.status?.conditions?.find((c) => c.type === type && c.status === 'True');
}

/** Whether it has been signed. */
export function isIssued(csr: CertificateSigningRequest): boolean {
  return (csr.status?.certificate ?? '') !== '';
}
