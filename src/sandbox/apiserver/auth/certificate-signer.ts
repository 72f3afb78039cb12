import type { Logger } from '../../../telemetry/log.js';
import { cloneJson, numberOf, objectOf, objectsOf, stringOf, stringsOf } from '../json.js';
import { parseRequest } from '../kinds/certificates/signing-request.js';
import type { KubeObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import { specOf } from '../registry/resource.js';
import { WorkQueue } from '../work-queue.js';
import type { CertificateUse, ClusterPki } from './pki.js';
import { systemUser } from './user.js';

const storage = 'certificatesigningrequests.certificates.k8s.io';
const options = { user: systemUser, manager: 'kube-controller-manager', subresource: 'status' };
const defaultSeconds = 365 * 24 * 3600;

interface SignerRule {
  readonly use: CertificateUse;
  readonly allowed: readonly string[];
  /** What the subject must be; undefined: anything. */
  readonly node: boolean;
}

/** The signers of the cluster's own authority and what they sign. */
const signers: Readonly<Record<string, SignerRule>> = {
  'kubernetes.io/kube-apiserver-client': {
    use: 'client',
    allowed: ['digital signature', 'key encipherment', 'client auth'],
    node: false,
  },
  'kubernetes.io/kube-apiserver-client-kubelet': {
    use: 'client',
    allowed: ['digital signature', 'key encipherment', 'client auth'],
    node: true,
  },
  'kubernetes.io/kubelet-serving': {
    use: 'server',
    allowed: ['digital signature', 'key encipherment', 'server auth'],
    node: true,
  },
};

function isTrue(csr: KubeObject, type: string): boolean {
  return objectsOf(objectOf(csr.status).conditions).some((c) => c.type === type && c.status === 'True');
}

/** Why a signer does not sign a request; undefined when it does. */
function refusal(csr: KubeObject, rule: SignerRule): string | undefined {
  const spec = specOf(csr);
  const usages = stringsOf(spec.usages);
  const odd = usages.find((u) => !rule.allowed.includes(u));
  if (odd !== undefined) return `usage "${odd}" is not signed by ${stringOf(spec.signerName)}`;
  const wanted = rule.use === 'client' ? 'client auth' : 'server auth';
  if (!usages.includes(wanted)) return `usage "${wanted}" is missing`;
  if (!rule.node) return undefined;
  const subject = parseRequest(spec).subjectName.toJSON();
  const names = subject.flatMap((part) => part.CN ?? []);
  const organizations = subject.flatMap((part) => part.O ?? []);
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes')
    return 'the subject organization is not system:nodes';
  return names.length === 1 && names[0]?.startsWith('system:node:') === true
    ? undefined
    : 'the subject common name does not begin with "system:node:"';
}

/** Signs approved certificate requests of the cluster's own signers. Rejects nothing: what it does not sign fails with a reason. */
export function startCertificateSigner(deps: {
  readonly operations: Operations;
  readonly pki: ClusterPki;
  readonly logger: Logger;
}): { stop(): Promise<void> } {
  const { operations, pki, logger } = deps;
  const { store, registry } = operations;
  const queue = new WorkQueue(
    async (name) => {
      const resource = registry.findStorage(storage);
      const csr = store.get(storage, undefined, name);
      const rule = csr === undefined ? undefined : signers[stringOf(specOf(cloneJson(csr)).signerName)];
      if (resource === undefined || csr === undefined || rule === undefined) return 'done';
      const isOpen = isTrue(csr, 'Approved') && !isTrue(csr, 'Denied') && !isTrue(csr, 'Failed');
      if (!isOpen || stringOf(objectOf(csr.status).certificate) !== '') return 'done';
      const own = cloneJson(csr);
      const why = refusal(own, rule);
      const spec = specOf(own);
      const seconds = numberOf(spec.expirationSeconds) ?? defaultSeconds;
      const certificate =
        why === undefined
          ? await pki.sign(parseRequest(spec), rule.use, Math.min(seconds, defaultSeconds))
          : '';
      await operations.modify(
        resource,
        { namespace: undefined, name },
        (current) => {
          const next = cloneJson(current);
          const status = objectOf(next.status);
          next.status =
            why === undefined
              ? { ...status, certificate: Buffer.from(certificate).toString('base64') }
              : {
                  ...status,
                  conditions: [
                    ...objectsOf(status.conditions),
                    { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: why },
                  ],
                };
          return next;
        },
        options,
      );
      return 'done';
    },
    (name, error) => logger.warn('certificate request is not signed yet', { name, error: String(error) }),
  );
  for (const csr of store.list(storage)) queue.add(csr.metadata.name);
  const unsubscribe = store.subscribe(storage, ({ type, object }) => {
    if (type !== 'DELETED') queue.add(object.metadata.name);
  });
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
