import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import { SubjectAlternativeNameExtension } from '@peculiar/x509';
import type { CertificateUsage } from '../../../base/pki.js';
import { commonNameOf } from '../../../apiserver/kinds/certificates/signing-request.js';

/** Signers of the cluster's own authority (kubernetes.io documentation, "Certificates and Certificate Signing Requests"). */
export const signers = {
  client: 'kubernetes.io/kube-apiserver-client',
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
} as const;

/** What a certificate is asked for, and its subject and names. */
export interface CertificateDemand {
  readonly request: Pkcs10CertificateRequest;
  readonly usages: readonly string[];
}

type Verdict = { readonly usages: readonly CertificateUsage[] } | { readonly refusal: string };
type SignerRule = (demand: CertificateDemand) => Verdict;

const rules: Readonly<Record<string, SignerRule>> = {
  [signers.client]: ({ usages }) => wantedUsages(usages, { needed: 'client auth', isExact: false }),
  [signers.kubeletClient]: ({ request, usages }) => {
    const names = namesOf(request);
    const [name] = names;
    if (name !== undefined) return { refusal: `a kubelet's client certificate has no ${name} names` };
    return nodeRefusal(request) ?? wantedUsages(usages, { needed: 'client auth', isExact: true });
  },
  [signers.kubeletServing]: ({ request, usages }) => {
    const names = namesOf(request);
    const odd = names.find((type) => type !== 'dns' && type !== 'ip');
    if (odd !== undefined) return { refusal: `a kubelet's serving certificate has no ${odd} names` };
    if (names.length === 0) return { refusal: 'a DNS name or an IP address is missing' };
    return nodeRefusal(request) ?? wantedUsages(usages, { needed: 'server auth', isExact: true });
  },
};

/** What a signer says to a demand: the usages it signs, or why it does not; undefined when the signer is none of the cluster's. */
export function signerVerdict(signerName: string, demand: CertificateDemand): Verdict | undefined {
  return rules[signerName]?.(demand);
}

function wantedUsages(
  usages: readonly string[],
  o: { readonly needed: CertificateUsage; readonly isExact: boolean },
): Verdict {
  const allowed: readonly CertificateUsage[] = ['digital signature', 'key encipherment', o.needed];
  const odd = usages.find((usage) => !allowed.some((a) => a === usage));
  if (odd !== undefined) return { refusal: `usage "${odd}" is not signed for` };
  const needed = o.isExact ? (['digital signature', o.needed] as const) : [o.needed];
  const missing = needed.find((usage) => !usages.includes(usage));
  if (missing !== undefined) return { refusal: `usage "${missing}" is missing` };
  return { usages: allowed.filter((usage) => usages.includes(usage)) };
}

/** A node's certificates are in the name of the node. */
function nodeRefusal(request: Pkcs10CertificateRequest): Verdict | undefined {
  const organizations = request.subjectName.toJSON().flatMap((part) => part['O'] ?? []);
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes')
    return { refusal: 'subject organization is not system:nodes' };
  return commonNameOf(request).startsWith('system:node:')
    ? undefined
    : { refusal: 'subject common name does not begin with system:node:' };
}

/** Types of the alternative names, one for each name. */
function namesOf(request: Pkcs10CertificateRequest): string[] {
  const extension = request.extensions.find((e) => e instanceof SubjectAlternativeNameExtension);
  return extension === undefined ? [] : extension.names.items.map(({ type }) => type);
}
