import type { Resource } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { commonNameOf, parseRequest } from '../../../apiserver/kinds/certificates/signing-request.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';
import { signers, signerVerdict } from './signer-rules.js';
import {
  isIssued,
  type CertificateSigningRequest,
  signingRequests,
  trueCondition,
} from './signing-request.js';

const accessReviews: Resource = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  isNamespaced: false,
};

/**
 * Approves the client certificates that kubelets ask for, where who asks has the right to: `selfnodeclient` for
 * a node's own, `nodeclient` for any node's. All other requests wait for somebody to approve them.
 */
export function certificateApproverController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
): Controller {
  const requests = deps.caches.of<CertificateSigningRequest>(signingRequests);
  requests.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  return {
    name: 'certificate-approver',
    keys: () => requests.list().map((csr) => csr.metadata.name),
    reconcile: async (name) => {
      const csr = requests.get(undefined, name);
      if (csr === undefined || isIssued(csr) || csr.spec.signerName !== signers.kubeletClient) return;
      if (['Approved', 'Denied'].some((type) => trueCondition(csr, type) !== undefined)) return;
      const request = parseRequest({ request: csr.spec.request });
      const verdict = signerVerdict(csr.spec.signerName, { request, usages: csr.spec.usages ?? [] });
      if (verdict === undefined || 'refusal' in verdict) return;
      const isOwn = csr.spec.username === commonNameOf(request);
      for (const right of isOwn ? ['selfnodeclient', 'nodeclient'] : ['nodeclient']) {
        if (!(await isAllowed(deps, csr, right))) continue;
        const condition = {
          type: 'Approved',
          status: 'True' as const,
          reason: 'AutoApproved',
          message: `Approved by itself: ${csr.spec.username ?? ''} may create certificatesigningrequests/${right}.`,
        };
        const conditions = [...(csr.status?.conditions ?? []), condition];
        await deps.client.update<CertificateSigningRequest>(
          { resource: signingRequests, name, subresource: 'approval' },
          { ...csr, status: { ...csr.status, conditions } },
        );
        return;
      }
    },
  };
}

async function isAllowed(
  deps: ClusterControllerDeps,
  csr: CertificateSigningRequest,
  subresource: string,
): Promise<boolean> {
  const { username, uid, groups, extra } = csr.spec;
  const review = await deps.client.create<KubeObject & { status?: { allowed?: boolean } }>(accessReviews, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: username,
      uid,
      groups,
      extra,
      resourceAttributes: {
        group: signingRequests.group,
        version: '*',
        resource: signingRequests.plural,
        subresource,
        verb: 'create',
      },
    },
  });
  return review.status?.allowed === true;
}
