import type { Rows } from './row.js';

const createOnly = ['create'];

/** Who may do what: authentication, authorization, certificates, RBAC. */
export const accessRows: Rows = {
  'authentication.k8s.io/v1': [
    { kind: 'SelfSubjectReview', plural: 'selfsubjectreviews', cluster: true, verbs: createOnly },
    { kind: 'TokenReview', plural: 'tokenreviews', cluster: true, verbs: createOnly },
  ],
  'authorization.k8s.io/v1': [
    { kind: 'LocalSubjectAccessReview', plural: 'localsubjectaccessreviews', verbs: createOnly },
    { kind: 'SelfSubjectAccessReview', plural: 'selfsubjectaccessreviews', cluster: true, verbs: createOnly },
    { kind: 'SelfSubjectRulesReview', plural: 'selfsubjectrulesreviews', cluster: true, verbs: createOnly },
    { kind: 'SubjectAccessReview', plural: 'subjectaccessreviews', cluster: true, verbs: createOnly },
  ],
  'certificates.k8s.io/v1': [
    {
      kind: 'CertificateSigningRequest',
      plural: 'certificatesigningrequests',
      short: 'csr',
      cluster: true,
      status: true,
      fields: 'spec.signerName',
      sub: { approval: { kind: 'CertificateSigningRequest', verbs: ['get', 'patch', 'update'] } },
    },
  ],
  'rbac.authorization.k8s.io/v1': [
    { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', cluster: true, name: 'path', upsert: true },
    { kind: 'ClusterRole', plural: 'clusterroles', cluster: true, name: 'path', upsert: true },
    { kind: 'RoleBinding', plural: 'rolebindings', name: 'path', upsert: true },
    { kind: 'Role', plural: 'roles', name: 'path', upsert: true },
  ],
};
