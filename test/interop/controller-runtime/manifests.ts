/** What the controller of this folder needs in a cluster. */

const namespace = 'shop';
const labels = { app: 'widgets' };
const group = 'shop.example.com';

const list = (...items: object[]): object => ({ apiVersion: 'v1', kind: 'List', items });

export const crd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `widgets.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['message'],
                properties: {
                  message: { type: 'string', maxLength: 100 },
                  repeat: { type: 'integer', maximum: 100 },
                },
              },
              status: {
                type: 'object',
                properties: {
                  observedGeneration: { type: 'integer', format: 'int64' },
                  text: { type: 'string' },
                  conditions: {
                    type: 'array',
                    items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

const rules = [
  { apiGroups: [group], resources: ['widgets'], verbs: ['get', 'list', 'watch', 'update', 'patch'] },
  { apiGroups: [group], resources: ['widgets/status'], verbs: ['patch'] },
  { apiGroups: [group], resources: ['widgets/finalizers'], verbs: ['update'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
  },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];
/** Only in its own namespace, for the election. */
const leaseRules = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] },
];

/** Two replicas with least privilege; the webhooks' certificate from a secret. */
export function deployment({ certPem, keyPem }: { certPem: string; keyPem: string }): object {
  const metadata = { name: 'widgets', namespace };
  const subjects = [{ kind: 'ServiceAccount', ...metadata }];
  const roleRef = (kind: string): object => ({
    apiGroup: 'rbac.authorization.k8s.io',
    kind,
    name: 'widgets',
  });
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
  return list(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { ...rbac, kind: 'ClusterRole', metadata: { name: 'widgets' }, rules },
    {
      ...rbac,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'widgets' },
      roleRef: roleRef('ClusterRole'),
      subjects,
    },
    { ...rbac, kind: 'Role', metadata, rules: leaseRules },
    { ...rbac, kind: 'RoleBinding', metadata, roleRef: roleRef('Role'), subjects },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata,
      stringData: { 'tls.crt': certPem, 'tls.key': keyPem },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ port: 443, targetPort: 9443 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: 'widgets',
            terminationGracePeriodSeconds: 5,
            containers: [
              {
                name: 'widgets',
                image: 'shop/widgets:1',
                env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
                readinessProbe: { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 },
                livenessProbe: { httpGet: { path: '/healthz', port: 8081 } },
                volumeMounts: [{ name: 'certs', mountPath: '/certs', readOnly: true }],
                securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
              },
            ],
            volumes: [{ name: 'certs', secret: { secretName: 'widgets' } }],
          },
        },
      },
    },
  );
}

/** Paths are controller-runtime's own for this kind. */
export function webhooks(caPem: string): object {
  const webhook = (verb: 'mutate' | 'validate'): object => ({
    name: `${verb}.widgets.shop.example.com`,
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    clientConfig: {
      caBundle: Buffer.from(caPem).toString('base64'),
      service: { name: 'widgets', namespace, path: `/${verb}-shop-example-com-v1-widget` },
    },
    rules: [
      { apiGroups: [group], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['widgets'] },
    ],
  });
  const admission = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'widgets' } };
  return list(
    { ...admission, kind: 'MutatingWebhookConfiguration', webhooks: [webhook('mutate')] },
    { ...admission, kind: 'ValidatingWebhookConfiguration', webhooks: [webhook('validate')] },
  );
}
