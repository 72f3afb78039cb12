import type { CommandPermission } from './command.js';

// What commands share of the permissions that their help names. Each is what the API server is asked, no more: a
// command that may not see something says so and goes on where it can.

const gatewayApi = 'gateway.networking.k8s.io';
const istioSecurity = 'security.istio.io';

/** Where a permission is needed. */
type Place = CommandPermission['in'];

function list(
  place: Place,
  resources: readonly (string | readonly [string, string])[],
  why: string,
): CommandPermission[] {
  return resources.map((entry) => {
    const [resource, group] = typeof entry === 'string' ? [entry, undefined] : entry;
    return { verbs: ['list'], resource, ...(group === undefined ? {} : { group }), in: place, why };
  });
}

/** To speak with a process in a pod; newer API servers ask for both verbs. */
function forward(place: Place, why: string): CommandPermission {
  return { verbs: ['get', 'create'], resource: 'pods/portforward', in: place, why };
}

/** To see whether the controller serves. */
export const controllerPermissions: readonly CommandPermission[] = [
  {
    verbs: ['get'],
    resource: 'deployments',
    group: 'apps',
    in: 'mesh namespace',
    why: 'see whether the controller is up',
  },
  ...list('mesh namespace', ['pods', 'events'], 'tell why it is not'),
  forward('mesh namespace', 'ask whether it answers'),
];

/** To ask the node proxies and CNI agents. */
export const componentPermissions: readonly CommandPermission[] = [
  ...list('mesh namespace', ['pods'], 'find the controller, node proxies and CNI agents'),
  forward('mesh namespace', 'ask them what they see'),
];

/** To ask node proxies, by their own names or those of pods on their nodes. */
export const nodeProxyPermissions: readonly CommandPermission[] = [
  ...list('mesh namespace', ['pods'], 'find node proxies'),
  { verbs: ['get'], resource: 'pods', in: 'namespace', why: 'find the node of an application pod' },
  forward('mesh namespace', 'ask node proxies'),
];

/** To ask waypoints and gateways. */
export const gatewayPermissions: readonly CommandPermission[] = [
  ...list('cluster', ['pods'], 'find waypoints and gateways'),
  forward('cluster', 'ask waypoints and gateways, wherever they run'),
];

/** To read what the mesh is set to. */
export const settingsPermissions: readonly CommandPermission[] = [
  { verbs: ['get'], resource: 'configmaps', in: 'mesh namespace', why: 'read the settings of the mesh' },
];

/** To tell which waypoints there are and who uses them. */
export const waypointPermissions: readonly CommandPermission[] = [
  ...list('namespace', [['gateways', gatewayApi], 'pods'], 'find waypoints and their pods'),
  ...list('namespace', ['events'], 'tell why a waypoint has no pods'),
  {
    verbs: ['get'],
    resource: 'gatewayclasses',
    group: gatewayApi,
    in: 'cluster',
    why: 'know which Gateways are waypoints',
  },
  ...list(
    'cluster',
    ['namespaces', 'serviceaccounts', 'pods', 'services'],
    'find who uses a waypoint, from other namespaces too',
  ),
];

/** To create or change a waypoint. */
export const waypointWritePermissions: readonly CommandPermission[] = [
  {
    verbs: ['get', 'patch'],
    resource: 'gateways',
    group: gatewayApi,
    in: 'namespace',
    why: 'apply the waypoint',
  },
  { verbs: ['get'], resource: 'namespaces', in: 'cluster', why: 'see that the namespace exists' },
];

/** To delete waypoints, and with --detach the labels of their users. */
export const waypointDeletePermissions: readonly CommandPermission[] = [
  { verbs: ['delete'], resource: 'gateways', group: gatewayApi, in: 'namespace', why: 'delete waypoints' },
  ...['namespaces', 'serviceaccounts', 'services', 'pods'].map(
    (resource): CommandPermission => ({
      verbs: ['patch'],
      resource,
      in: 'cluster',
      why: 'remove labels with --detach',
    }),
  ),
  ...(
    [
      ['replicasets', 'apps'],
      ['statefulsets', 'apps'],
      ['daemonsets', 'apps'],
      ['jobs', 'batch'],
    ] as const
  ).map(
    ([resource, group]): CommandPermission => ({
      verbs: ['get'],
      resource,
      group,
      in: 'cluster',
      why: 'name the pod templates that still have the label',
    }),
  ),
];

/** To label a namespace. */
export const namespaceLabelPermissions: readonly CommandPermission[] = [
  { verbs: ['get', 'patch'], resource: 'namespaces', in: 'cluster', why: 'label the namespace' },
];

/** To label a ServiceAccount. */
export const accountLabelPermissions: readonly CommandPermission[] = [
  {
    verbs: ['get', 'patch'],
    resource: 'serviceaccounts',
    in: 'namespace',
    why: 'label the account with --service-account',
  },
];

/** To see the pods of namespaces and whether they are in the mesh. */
export const enrollmentPermissions: readonly CommandPermission[] = [
  ...list('cluster', ['namespaces'], 'read their labels'),
  ...list('namespace', ['pods'], 'read what they ask for'),
  ...settingsPermissions,
  ...componentPermissions,
];

/** The configuration that checks and reports go by. */
const configurationKinds: readonly (string | readonly [string, string])[] = [
  'pods',
  'serviceaccounts',
  'services',
  ['gateways', gatewayApi],
  ['networkpolicies', 'networking.k8s.io'],
  ['authorizationpolicies', istioSecurity],
  ['peerauthentications', istioSecurity],
  'resourcequotas',
];

/** Routes, and what their references need. */
const routeKinds: readonly (readonly [string, string])[] = [
  'httproutes',
  'grpcroutes',
  'tlsroutes',
  'tcproutes',
  'referencegrants',
].map((kind) => [kind, gatewayApi]);

const istioNetworking = 'networking.istio.io';

/** Kinds of which it is said that nothing in the mesh acts on them. */
const unhonoredKinds: readonly (readonly [string, string])[] = [
  ...['udproutes', 'listenersets', 'backendtlspolicies'].map((kind) => [kind, gatewayApi] as const),
  ['requestauthentications', istioSecurity],
  ...[
    'virtualservices',
    'destinationrules',
    'gateways',
    'serviceentries',
    'workloadentries',
    'workloadgroups',
    'sidecars',
    'envoyfilters',
    'proxyconfigs',
  ].map((kind) => [kind, istioNetworking] as const),
  ['telemetries', 'telemetry.istio.io'],
  ['wasmplugins', 'extensions.istio.io'],
  ['trafficextensions', 'extensions.istio.io'],
];

/** Kinds of the cluster itself that checks look at. */
const clusterKinds: readonly (string | readonly [string, string])[] = [
  'namespaces',
  ['gatewayclasses', gatewayApi],
  ['mutatingwebhookconfigurations', 'admissionregistration.k8s.io'],
  ['validatingwebhookconfigurations', 'admissionregistration.k8s.io'],
];

/** To find mistakes in the configuration of a namespace. */
export const configurationPermissions: readonly CommandPermission[] = [
  ...list('namespace', configurationKinds, 'find mistakes in the configuration'),
  ...list('namespace', routeKinds, 'find mistakes in routes'),
  ...list('namespace', unhonoredKinds, 'name what nothing in the mesh acts on'),
  ...list('cluster', clusterKinds, 'find what acts on the namespace from outside'),
  ...settingsPermissions,
];

/** To find what is wrong with the mesh itself. */
export const meshPermissions: readonly CommandPermission[] = [
  ...list('cluster', ['nodes'], 'see which nodes are ready'),
  ...list('cluster', configurationKinds, 'find mistakes in the configuration'),
  ...list('cluster', routeKinds, 'find mistakes in routes'),
  ...list('cluster', unhonoredKinds, 'name what nothing in the mesh acts on'),
  ...list('cluster', clusterKinds, 'find what else acts on pods'),
  {
    verbs: ['get', 'list'],
    resource: 'deployments',
    group: 'apps',
    in: 'mesh namespace',
    why: 'see whether the controller is up',
  },
  {
    verbs: ['get', 'list'],
    resource: 'daemonsets',
    group: 'apps',
    in: 'mesh namespace',
    why: 'see whether node proxies and agents are up',
  },
  ...list('cluster', ['events'], 'tell why something of the mesh does not start'),
  {
    verbs: ['get'],
    resource: 'gatewayclasses',
    group: gatewayApi,
    in: 'cluster',
    why: 'know which Gateways are waypoints',
  },
  {
    verbs: ['get'],
    resource: 'secrets',
    in: 'mesh namespace',
    why: 'compare the certificate authority with what proxies trust',
  },
  ...settingsPermissions,
  ...componentPermissions,
  forward('cluster', 'ask waypoints and gateways, wherever they run'),
];

/** To tell about one object of a namespace, and what stands behind its trouble. */
export const descriptionPermissions: readonly CommandPermission[] = [
  { verbs: ['get'], resource: 'pods', in: 'namespace', why: 'find what is named' },
  { verbs: ['get'], resource: 'services', in: 'namespace', why: 'find what is named' },
  { verbs: ['get'], resource: 'gateways', group: gatewayApi, in: 'namespace', why: 'find what is named' },
  ...list(
    'namespace',
    [...configurationKinds, 'events'],
    'tell what is asked for and why something does not start',
  ),
  { verbs: ['get'], resource: 'serviceaccounts', in: 'namespace', why: 'read the waypoint it names' },
  { verbs: ['get'], resource: 'namespaces', in: 'cluster', why: 'read its labels' },
  ...meshPermissions,
];

/** Kinds of the objects of an installation. */
const installedKinds: readonly (readonly [resource: string, group: string | undefined, place: Place])[] = [
  ['namespaces', undefined, 'cluster'],
  ['customresourcedefinitions', 'apiextensions.k8s.io', 'cluster'],
  ['clusterroles', 'rbac.authorization.k8s.io', 'cluster'],
  ['clusterrolebindings', 'rbac.authorization.k8s.io', 'cluster'],
  ['roles', 'rbac.authorization.k8s.io', 'mesh namespace'],
  ['rolebindings', 'rbac.authorization.k8s.io', 'mesh namespace'],
  ['serviceaccounts', undefined, 'mesh namespace'],
  ['services', undefined, 'mesh namespace'],
  ['configmaps', undefined, 'mesh namespace'],
  ['deployments', 'apps', 'mesh namespace'],
  ['daemonsets', 'apps', 'mesh namespace'],
];

function onInstalled(verbs: readonly string[], why: string): CommandPermission[] {
  return installedKinds.map(([resource, group, place]) => ({
    verbs,
    resource,
    ...(group === undefined ? {} : { group }),
    in: place,
    why,
  }));
}

/** To look at a cluster before something is installed. */
export const clusterPermissions: readonly CommandPermission[] = [
  ...list(
    'cluster',
    ['nodes', ['deployments', 'apps'], ['daemonsets', 'apps']],
    'detect the platform and other meshes',
  ),
  { verbs: ['get'], resource: 'namespaces', in: 'cluster', why: "read the labels of the mesh's namespace" },
  ...list(
    'cluster',
    [
      'services',
      ['mutatingwebhookconfigurations', 'admissionregistration.k8s.io'],
      ['validatingwebhookconfigurations', 'admissionregistration.k8s.io'],
    ],
    'find what would be in the way',
  ),
  ...list('mesh namespace', ['resourcequotas', 'pods'], 'see whether pods of the mesh are admitted'),
  ...settingsPermissions,
  {
    verbs: ['get'],
    resource: 'customresourcedefinitions',
    group: 'apiextensions.k8s.io',
    in: 'cluster',
    why: 'see what is installed already',
  },
];

/** To install, or to have the API server compute what installing would change. */
export const installPermissions: readonly CommandPermission[] = [
  ...onInstalled(['get', 'patch', 'delete'], 'apply what is installed and prune what no longer is'),
  ...list(
    'cluster',
    ['nodes', ['deployments', 'apps'], ['daemonsets', 'apps']],
    'detect the platform and other meshes',
  ),
];

/** To wait until what was installed is ready. */
export const readinessPermissions: readonly CommandPermission[] = list(
  'mesh namespace',
  ['pods', 'events'],
  'tell what a component is waiting for',
);

/** As the API server computes a difference: by a patch that changes nothing. */
export const comparisonPermissions: readonly CommandPermission[] = onInstalled(
  ['get', 'patch'],
  'have the API server compute the difference (a patch that changes nothing)',
);

/** To remove an installation. */
export const uninstallPermissions: readonly CommandPermission[] = [
  ...onInstalled(['get', 'list', 'delete'], 'remove what was installed'),
  {
    verbs: ['get', 'create'],
    resource: 'pods/exec',
    in: 'mesh namespace',
    why: 'have every node release its pods',
  },
  {
    verbs: ['list', 'delete'],
    resource: 'leases',
    group: 'coordination.k8s.io',
    in: 'mesh namespace',
    why: 'remove those of the controller',
  },
  {
    verbs: ['get', 'delete'],
    resource: 'secrets',
    in: 'mesh namespace',
    why: 'remove the certificate authority with --purge',
  },
  {
    verbs: ['get', 'delete'],
    resource: 'configmaps',
    in: 'cluster',
    why: 'remove the root certificate from every namespace',
  },
  ...list('cluster', ['events'], 'tell why a waypoint has no pods'),
  {
    verbs: ['get', 'list', 'delete'],
    resource: 'gatewayclasses',
    group: gatewayApi,
    in: 'cluster',
    why: 'remove those of the mesh',
  },
  ...list(
    'cluster',
    [
      'pods',
      'services',
      'serviceaccounts',
      ['deployments', 'apps'],
      ['poddisruptionbudgets', 'policy'],
      ['gateways', gatewayApi],
      ['authorizationpolicies', istioSecurity],
    ],
    'name who depends on the mesh and what is left',
  ),
];
