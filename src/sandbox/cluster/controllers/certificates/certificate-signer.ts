import type { ApiServer } from '../../../base/api-server.js';
import { parseRequest } from '../../../apiserver/kinds/certificates/signing-request.js';
import { timestamp } from '../../../base/timestamp.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';
import { signerVerdict } from './signer-rules.js';
import {
  isIssued,
  type CertificateSigningRequest,
  signingRequests,
  trueCondition,
} from './signing-request.js';

const longestSeconds = 365 * 24 * 3600;
const shortestSeconds = 600;

/**
 * Signs approved certificate requests of the cluster's own signers, whoever approved them. A request that a
 * signer does not sign fails with the reason; those of other signers are left to them.
 */
export function certificateSignerController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: Pick<ApiServer, 'sign'>,
): Controller {
  const requests = deps.caches.of<CertificateSigningRequest>(signingRequests);
  requests.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  return {
    name: 'certificate-signer',
    keys: () => requests.list().map((csr) => csr.metadata.name),
    reconcile: async (name) => {
      const csr = requests.get(undefined, name);
      if (csr === undefined || isIssued(csr)) return;
      if (trueCondition(csr, 'Approved') === undefined || trueCondition(csr, 'Failed') !== undefined) return;
      const { spec } = csr;
      const request = parseRequest({ request: spec.request });
      const verdict = signerVerdict(spec.signerName, { request, usages: spec.usages ?? [] });
      if (verdict === undefined) return;
      const status: NonNullable<CertificateSigningRequest['status']> = { ...csr.status };
      if ('refusal' in verdict) {
        const now = timestamp(Date.now());
        status.conditions = [
          ...(status.conditions ?? []),
          {
            type: 'Failed',
            status: 'True',
            reason: 'SignerValidationFailure',
            message: `${spec.signerName}: ${verdict.refusal}`,
            lastUpdateTime: now,
            lastTransitionTime: now,
          },
        ];
      } else {
        const asked = spec.expirationSeconds ?? longestSeconds;
        const lifetimeSeconds = Math.min(Math.max(asked, shortestSeconds), longestSeconds);
        const pem = await o.sign(request, { usages: verdict.usages, lifetimeSeconds });
        status.certificate = Buffer.from(pem).toString('base64');
      }
      await deps.client.update<CertificateSigningRequest>(
        { resource: signingRequests, name, subresource: 'status' },
        { ...csr, status },
      );
    },
  };
}
