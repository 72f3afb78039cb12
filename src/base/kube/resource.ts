/** A kind of object as the API server names it. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
}

export interface ObjectRef {
  readonly resource: Resource;
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** Parts of an `apiVersion`; the core group is empty. */
export function groupVersionOf(apiVersion: string): Pick<Resource, 'group' | 'version'> {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  return { group, version };
}

const define =
  (isNamespaced: boolean) =>
  (groupVersion: string, plural: string, kind: string): Resource => {
    return { ...groupVersionOf(groupVersion), plural, kind, isNamespaced };
  };
const namespaced = define(true);
const clusterScoped = define(false);

export const namespaces = clusterScoped('v1', 'namespaces', 'Namespace');
export const nodes = clusterScoped('v1', 'nodes', 'Node');
export const pods = namespaced('v1', 'pods', 'Pod');
export const services = namespaced('v1', 'services', 'Service');
export const endpoints = namespaced('v1', 'endpoints', 'Endpoints');
export const configMaps = namespaced('v1', 'configmaps', 'ConfigMap');
export const secrets = namespaced('v1', 'secrets', 'Secret');
export const serviceAccounts = namespaced('v1', 'serviceaccounts', 'ServiceAccount');
export const events = namespaced('v1', 'events', 'Event');
export const resourceQuotas = namespaced('v1', 'resourcequotas', 'ResourceQuota');
export const persistentVolumeClaims = namespaced('v1', 'persistentvolumeclaims', 'PersistentVolumeClaim');
export const persistentVolumes = clusterScoped('v1', 'persistentvolumes', 'PersistentVolume');
export const runtimeClasses = clusterScoped('node.k8s.io/v1', 'runtimeclasses', 'RuntimeClass');
export const deployments = namespaced('apps/v1', 'deployments', 'Deployment');
export const daemonSets = namespaced('apps/v1', 'daemonsets', 'DaemonSet');
export const replicaSets = namespaced('apps/v1', 'replicasets', 'ReplicaSet');
export const statefulSets = namespaced('apps/v1', 'statefulsets', 'StatefulSet');
export const podDisruptionBudgets = namespaced('policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const jobs = namespaced('batch/v1', 'jobs', 'Job');
export const cronJobs = namespaced('batch/v1', 'cronjobs', 'CronJob');
export const endpointSlices = namespaced('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice');
export const leases = namespaced('coordination.k8s.io/v1', 'leases', 'Lease');
export const clusterRoles = clusterScoped('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole');
export const clusterRoleBindings = clusterScoped(
  'rbac.authorization.k8s.io/v1',
  'clusterrolebindings',
  'ClusterRoleBinding',
);
export const customResourceDefinitions = clusterScoped(
  'apiextensions.k8s.io/v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
);
export const mutatingWebhookConfigurations = clusterScoped(
  'admissionregistration.k8s.io/v1',
  'mutatingwebhookconfigurations',
  'MutatingWebhookConfiguration',
);
export const validatingWebhookConfigurations = clusterScoped(
  'admissionregistration.k8s.io/v1',
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
);
export const tokenReviews = clusterScoped('authentication.k8s.io/v1', 'tokenreviews', 'TokenReview');
export const selfSubjectAccessReviews = clusterScoped(
  'authorization.k8s.io/v1',
  'selfsubjectaccessreviews',
  'SelfSubjectAccessReview',
);
export const gateways = namespaced('gateway.networking.k8s.io/v1', 'gateways', 'Gateway');
export const gatewayClasses = clusterScoped('gateway.networking.k8s.io/v1', 'gatewayclasses', 'GatewayClass');
export const httpRoutes = namespaced('gateway.networking.k8s.io/v1', 'httproutes', 'HTTPRoute');
export const grpcRoutes = namespaced('gateway.networking.k8s.io/v1', 'grpcroutes', 'GRPCRoute');
export const tlsRoutes = namespaced('gateway.networking.k8s.io/v1', 'tlsroutes', 'TLSRoute');
export const tcpRoutes = namespaced('gateway.networking.k8s.io/v1', 'tcproutes', 'TCPRoute');
export const udpRoutes = namespaced('gateway.networking.k8s.io/v1', 'udproutes', 'UDPRoute');
export const listenerSets = namespaced('gateway.networking.k8s.io/v1', 'listenersets', 'ListenerSet');
export const backendTlsPolicies = namespaced(
  'gateway.networking.k8s.io/v1',
  'backendtlspolicies',
  'BackendTLSPolicy',
);
export const referenceGrants = namespaced(
  'gateway.networking.k8s.io/v1',
  'referencegrants',
  'ReferenceGrant',
);
export const authorizationPolicies = namespaced(
  'security.istio.io/v1',
  'authorizationpolicies',
  'AuthorizationPolicy',
);
export const peerAuthentications = namespaced(
  'security.istio.io/v1',
  'peerauthentications',
  'PeerAuthentication',
);
export const requestAuthentications = namespaced(
  'security.istio.io/v1',
  'requestauthentications',
  'RequestAuthentication',
);
export const serviceEntries = namespaced('networking.istio.io/v1', 'serviceentries', 'ServiceEntry');
export const workloadEntries = namespaced('networking.istio.io/v1', 'workloadentries', 'WorkloadEntry');
export const workloadGroups = namespaced('networking.istio.io/v1', 'workloadgroups', 'WorkloadGroup');
export const virtualServices = namespaced('networking.istio.io/v1', 'virtualservices', 'VirtualService');
export const destinationRules = namespaced('networking.istio.io/v1', 'destinationrules', 'DestinationRule');
export const istioGateways = namespaced('networking.istio.io/v1', 'gateways', 'Gateway');
export const sidecars = namespaced('networking.istio.io/v1', 'sidecars', 'Sidecar');
export const envoyFilters = namespaced('networking.istio.io/v1alpha3', 'envoyfilters', 'EnvoyFilter');
export const proxyConfigs = namespaced('networking.istio.io/v1beta1', 'proxyconfigs', 'ProxyConfig');
export const telemetries = namespaced('telemetry.istio.io/v1', 'telemetries', 'Telemetry');
export const wasmPlugins = namespaced('extensions.istio.io/v1alpha1', 'wasmplugins', 'WasmPlugin');
export const trafficExtensions = namespaced(
  'extensions.istio.io/v1alpha1',
  'trafficextensions',
  'TrafficExtension',
);

/** `v1` or `group/version`. */
export function apiVersionOf({ group, version }: Pick<Resource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** URL path of a collection, or of an object when `name` is given; parts are escaped. */
export function pathOf(
  resource: Resource,
  at: { namespace?: string | undefined; name?: string | undefined; subresource?: string | undefined } = {},
): string {
  const root =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const inNamespace =
    resource.isNamespaced && at.namespace !== undefined
      ? `/namespaces/${encodeURIComponent(at.namespace)}`
      : '';
  const object = at.name === undefined ? '' : `/${encodeURIComponent(at.name)}`;
  const sub = at.subresource === undefined ? '' : `/${at.subresource}`;
  return `${root}${inNamespace}/${resource.plural}${object}${sub}`;
}
