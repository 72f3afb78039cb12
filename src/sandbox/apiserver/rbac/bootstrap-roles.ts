import type { JsonObject } from '../json.js';

interface Rule {
  readonly groups?: readonly string[];
  readonly resources?: readonly string[];
  readonly names?: readonly string[];
  readonly urls?: readonly string[];
  readonly verbs: readonly string[];
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const all = ['*'];

/** What namespace admins, editors and viewers may do, by API group: [group, resources that are only read, resources that are written too]. */
const workloads: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    '',
    [
      'bindings',
      'events',
      'limitranges',
      'namespaces',
      'namespaces/status',
      'persistentvolumeclaims/status',
      'pods/log',
      'pods/status',
      'replicationcontrollers/status',
      'resourcequotas',
      'resourcequotas/status',
      'services/status',
    ],
    [
      'configmaps',
      'endpoints',
      'persistentvolumeclaims',
      'pods',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'serviceaccounts',
      'services',
    ],
  ],
  [
    'apps',
    [
      'controllerrevisions',
      'daemonsets/status',
      'deployments/status',
      'replicasets/status',
      'statefulsets/status',
    ],
    [
      'daemonsets',
      'deployments',
      'deployments/rollback',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
    ],
  ],
  ['autoscaling', ['horizontalpodautoscalers/status'], ['horizontalpodautoscalers']],
  ['batch', ['cronjobs/status', 'jobs/status'], ['cronjobs', 'jobs']],
  ['policy', ['poddisruptionbudgets/status'], ['poddisruptionbudgets']],
  ['networking.k8s.io', ['ingresses/status'], ['ingresses', 'networkpolicies']],
  ['discovery.k8s.io', ['endpointslices'], []],
]; // prettier-ignore

function viewRules(): Rule[] {
  return workloads.map(([group, readable, writable]) => ({
    groups: [group],
    resources: [...readable, ...writable],
    verbs: read,
  }));
}

function editRules(): Rule[] {
  return [
    {
      groups: [''],
      resources: ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy'],
      verbs: [...read, ...write],
    },
    { groups: [''], resources: ['serviceaccounts'], verbs: ['impersonate'] },
    { groups: [''], resources: ['pods/eviction', 'serviceaccounts/token'], verbs: ['create'] },
    { groups: [''], resources: ['events'], verbs: write },
    { groups: ['coordination.k8s.io'], resources: ['leases'], verbs: [...read, ...write] },
    ...workloads
      .filter(([, , writable]) => writable.length > 0)
      .map(([group, , writable]): Rule => ({ groups: [group], resources: writable, verbs: write })),
  ];
}

const adminRules: readonly Rule[] = [
  { groups: ['authorization.k8s.io'], resources: ['localsubjectaccessreviews'], verbs: ['create'] },
  { groups: ['rbac.authorization.k8s.io'], resources: ['roles', 'rolebindings'], verbs: [...read, ...write] },
];

const selfReviews = ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'];
const healthUrls = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
const eventRules: Rule = {
  groups: ['', 'events.k8s.io'],
  resources: ['events'],
  verbs: ['create', 'patch', 'update'],
};
const accessReviews: readonly Rule[] = [
  { groups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  {
    groups: ['authorization.k8s.io'],
    resources: ['subjectaccessreviews', 'localsubjectaccessreviews'],
    verbs: ['create'],
  },
];

/** Rules of the bootstrap cluster roles by name. */
const roles: Readonly<Record<string, readonly Rule[]>> = {
  'cluster-admin': [
    { groups: all, resources: all, verbs: all },
    { urls: all, verbs: all },
  ],
  'system:discovery': [
    {
      urls: [
        '/api',
        '/api/*',
        '/apis',
        '/apis/*',
        '/healthz',
        '/livez',
        '/openapi',
        '/openapi/*',
        '/readyz',
        '/version',
        '/version/',
      ],
      verbs: ['get'],
    },
  ],
  'system:public-info-viewer': [{ urls: healthUrls, verbs: ['get'] }],
  'system:basic-user': [
    { groups: ['authorization.k8s.io'], resources: selfReviews, verbs: ['create'] },
    { groups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
  ],
  'system:service-account-issuer-discovery': [
    { urls: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] },
  ],
  'system:auth-delegator': accessReviews,
  'system:heapster': [{ groups: [''], resources: ['events', 'namespaces', 'nodes', 'pods'], verbs: read }],
  'system:monitoring': [
    {
      urls: [
        '/metrics',
        '/metrics/slis',
        '/livez',
        '/readyz',
        '/healthz',
        '/livez/*',
        '/readyz/*',
        '/healthz/*',
      ],
      verbs: ['get'],
    },
  ],
  'system:node': [
    ...accessReviews,
    {
      groups: [''],
      resources: [
        'services',
        'configmaps',
        'secrets',
        'persistentvolumeclaims',
        'persistentvolumes',
        'namespaces',
        'endpoints',
        'serviceaccounts',
      ],
      verbs: read,
    },
    { groups: [''], resources: ['nodes'], verbs: ['create', 'get', 'list', 'watch', 'update', 'patch'] },
    { groups: [''], resources: ['nodes/status'], verbs: ['update', 'patch'] },
    { groups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'delete'] },
    { groups: [''], resources: ['pods/status'], verbs: ['update', 'patch'] },
    { groups: [''], resources: ['pods/eviction', 'serviceaccounts/token'], verbs: ['create'] },
    eventRules,
    {
      groups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['create', 'get', 'update', 'patch', 'delete'],
    },
    {
      groups: ['node.k8s.io', 'storage.k8s.io'],
      resources: ['runtimeclasses', 'csinodes', 'csidrivers'],
      verbs: read,
    },
  ],
  'system:node-proxier': [
    { groups: [''], resources: ['endpoints', 'services', 'nodes'], verbs: read },
    { groups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
    eventRules,
  ],
  'system:kube-dns': [
    { groups: [''], resources: ['endpoints', 'services', 'namespaces', 'pods'], verbs: ['list', 'watch'] },
    { groups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ],
  'system:kube-scheduler': [
    eventRules,
    {
      groups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['create', 'get', 'list', 'update', 'watch'],
    },
    {
      groups: [''],
      resources: [
        'nodes',
        'namespaces',
        'persistentvolumeclaims',
        'persistentvolumes',
        'replicationcontrollers',
        'services',
      ],
      verbs: read,
    },
    { groups: [''], resources: ['pods'], verbs: ['delete', ...read] },
    { groups: [''], resources: ['bindings', 'pods/binding'], verbs: ['create'] },
    { groups: [''], resources: ['pods/status'], verbs: ['patch', 'update'] },
    { groups: ['apps'], resources: ['replicasets', 'statefulsets'], verbs: read },
    { groups: ['policy'], resources: ['poddisruptionbudgets'], verbs: read },
    { groups: ['storage.k8s.io'], resources: all, verbs: read },
    ...accessReviews,
  ],
  // One identity runs all controllers here; upstream splits this into a role for each.
  'system:kube-controller-manager': [
    { groups: all, resources: all, verbs: [...read, ...write] },
    ...accessReviews,
  ],
  'system:aggregate-to-view': viewRules(),
  'system:aggregate-to-edit': editRules(),
  'system:aggregate-to-admin': adminRules,
};

const bindings: Readonly<
  Record<string, { role: string; groups?: readonly string[]; users?: readonly string[] }>
> = {
  'cluster-admin': { role: 'cluster-admin', groups: ['system:masters'] },
  'system:discovery': { role: 'system:discovery', groups: ['system:authenticated'] },
  'system:public-info-viewer': {
    role: 'system:public-info-viewer',
    groups: ['system:authenticated', 'system:unauthenticated'],
  },
  'system:basic-user': { role: 'system:basic-user', groups: ['system:authenticated'] },
  'system:service-account-issuer-discovery': {
    role: 'system:service-account-issuer-discovery',
    groups: ['system:serviceaccounts'],
  },
  'system:monitoring': { role: 'system:monitoring', groups: ['system:monitoring'] },
  // There is no node authorizer here: the role that limits it is bound as a whole.
  'system:node': { role: 'system:node', groups: ['system:nodes'] },
  'system:node-proxier': { role: 'system:node-proxier', users: ['system:kube-proxy'] },
  'system:kube-scheduler': { role: 'system:kube-scheduler', users: ['system:kube-scheduler'] },
  'system:kube-controller-manager': {
    role: 'system:kube-controller-manager',
    users: ['system:kube-controller-manager'],
  },
};

const meta = (name: string, labels: Record<string, string> = {}): JsonObject => ({
  name,
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
});

function ruleObject(rule: Rule): JsonObject {
  return {
    ...(rule.groups === undefined ? {} : { apiGroups: [...rule.groups] }),
    ...(rule.resources === undefined ? {} : { resources: [...rule.resources] }),
    ...(rule.names === undefined ? {} : { resourceNames: [...rule.names] }),
    ...(rule.urls === undefined ? {} : { nonResourceURLs: [...rule.urls] }),
    verbs: [...rule.verbs],
  };
}

const aggregated: readonly (readonly [string, Record<string, string>])[] = [
  ['view', { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' }],
  ['edit', { 'rbac.authorization.k8s.io/aggregate-to-admin': 'true' }],
  ['admin', {}],
];

/** The roles and bindings every cluster starts with. */
export function bootstrapRbac(): { clusterRoles: JsonObject[]; clusterRoleBindings: JsonObject[] } {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const clusterRoles = Object.entries(roles).map(([name, rules]): JsonObject => {
    const target = /^system:aggregate-to-(\w+)$/.exec(name)?.[1];
    const labels =
      target === undefined ? {} : { [`rbac.authorization.k8s.io/aggregate-to-${target}`]: 'true' };
    return { apiVersion, kind: 'ClusterRole', metadata: meta(name, labels), rules: rules.map(ruleObject) };
  });
  for (const [name, labels] of aggregated) {
    clusterRoles.push({
      apiVersion,
      kind: 'ClusterRole',
      metadata: meta(name, labels),
      aggregationRule: {
        clusterRoleSelectors: [
          { matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' } },
        ],
      },
      rules: [],
    });
  }
  const clusterRoleBindings = Object.entries(bindings).map(
    ([name, { role, groups = [], users = [] }]): JsonObject => ({
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: meta(name),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [
        ...groups.map((g) => ({ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: g })),
        ...users.map((u) => ({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: u })),
      ],
    }),
  );
  return { clusterRoles, clusterRoleBindings };
}
