import { apiError } from '../api-error.js';
import { equalJson, objectOf, objectsOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { UserInfo } from '../user.js';
import { parseRequest } from '../kinds/certificates/signing-request.js';
import type { Authorizer } from '../rbac/authorizer.js';
import { specOf } from '../registry/resource.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const storage = 'certificatesigningrequests.certificates.k8s.io';
const resource = { group: 'certificates.k8s.io', plural: 'certificatesigningrequests' };
const clientSigner = 'kubernetes.io/kube-apiserver-client';

/** Whether somebody may approve or sign for a signer, by its name or for its whole domain. */
function mayActFor(authorizer: Authorizer, user: UserInfo, verb: string, signer: string): boolean {
  const domain = signer.split('/')[0] ?? '';
  return [signer, `${domain}/*`].some(
    (name) =>
      authorizer.authorize(user, {
        kind: 'resource',
        verb,
        group: 'certificates.k8s.io',
        resource: 'signers',
        subresource: '',
        namespace: '',
        name,
      }).isAllowed,
  );
}

/** The request carries who made it: nobody can ask in another's name. */
function writeRequester(csr: ApiObject, user: UserInfo): void {
  const spec = specOf(csr);
  spec.username = user.username;
  spec.groups = [...user.groups];
  if (user.uid === undefined) delete spec.uid;
  else spec.uid = user.uid;
  const extra = Object.entries(user.extra).map(([key, values]) => [key, [...values]] as const);
  if (extra.length > 0) spec.extra = Object.fromEntries(extra);
  else delete spec.extra;
}

function asksForMasters(csr: ApiObject): boolean {
  try {
    const names = parseRequest(specOf(csr)).subjectName.toJSON();
    return names.some((part) => part.O?.includes('system:masters') === true);
  } catch {
    // Not a request at all: validation says what is wrong with it.
    return false;
  }
}

/** Writes in who asks for a certificate, and checks who approves and who signs. */
export function certificateRequests(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigningRequests',
    admit: ({ operation, resource: { storage: own }, object, old, subresource, user }) => {
      if (own !== storage) return;
      const signer = stringOf(specOf(object).signerName);
      const refuse = (detail: string): never => {
        throw apiError.forbidden(resource, object.metadata.name, detail);
      };
      if (operation === 'CREATE') {
        writeRequester(object, user);
        if (signer === clientSigner && asksForMasters(object))
          refuse(`use of ${clientSigner} signer with system:masters group is not allowed`);
        return;
      }
      if (operation !== 'UPDATE' || old === undefined) return;
      if (subresource === 'approval' && !mayActFor(authorizer, user, 'approve', signer))
        refuse(`user not permitted to approve requests with signerName "${signer}"`);
      if (subresource !== 'status') return;
      const [now, before] = [objectOf(object.status), objectOf(old.status)];
      const failed = (status: typeof now) => objectsOf(status.conditions).filter((c) => c.type === 'Failed');
      const isSigning = now.certificate !== before.certificate || !equalJson(failed(now), failed(before));
      if (isSigning && !mayActFor(authorizer, user, 'sign', signer))
        refuse(`user not permitted to sign requests with signerName "${signer}"`);
    },
  };
}
