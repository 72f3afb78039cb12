import { X509Certificate } from 'node:crypto';
import type { Controller, ClusterControllerDeps } from '../controller.js';
import {
  isIssued,
  type CertificateSigningRequest,
  signingRequests,
  trueCondition,
} from './signing-request.js';

const hourMs = 3_600_000;
const answeredMs = hourMs;
const pendingMs = 24 * hourMs;

/** Deletes certificate requests that are done with: an hour after their answer, a day when nobody answered, and when what was signed has expired. */
export function certificateCleanerController(deps: ClusterControllerDeps): Controller {
  const requests = deps.caches.of<CertificateSigningRequest>(signingRequests);
  return {
    name: 'certificate-cleaner',
    // Time alone makes requests old: the periodic pass over all keys is enough.
    keys: () => requests.list().map((csr) => csr.metadata.name),
    reconcile: async (name) => {
      const csr = requests.get(undefined, name);
      if (csr === undefined || !isDoneWith(csr, Date.now())) return;
      await deps.client.delete(
        { resource: signingRequests, name },
        { preconditions: { uid: csr.metadata.uid ?? '' } },
      );
    },
  };
}

/** Whether nobody needs a certificate request any more. */
export function isDoneWith(csr: CertificateSigningRequest, nowMs: number): boolean {
  const isOlder = (time: string | undefined, ms: number): boolean =>
    time !== undefined && nowMs - Date.parse(time) > ms;
  if ((csr.status?.conditions ?? []).length === 0) return isOlder(csr.metadata.creationTimestamp, pendingMs);
  for (const type of ['Denied', 'Failed'])
    if (isOlder(trueCondition(csr, type)?.lastUpdateTime, answeredMs)) return true;
  const approved = trueCondition(csr, 'Approved');
  if (approved === undefined || !isIssued(csr)) return false;
  return isOlder(approved.lastUpdateTime, answeredMs) || nowMs > expiryOf(csr);
}

/** When what was signed expires, in milliseconds since 1970; never, when it cannot be read. */
function expiryOf(csr: CertificateSigningRequest): number {
  try {
    const pem = Buffer.from(csr.status?.certificate ?? '', 'base64');
    return Date.parse(new X509Certificate(pem).validTo);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
