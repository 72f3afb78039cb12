/** Services and workloads (ambient Workload API). */
export const addressType = 'type.googleapis.com/istio.workload.Address';
/** L4 authorization policies. */
export const authorizationType = 'type.googleapis.com/istio.security.Authorization';
/** L7 authorization policies of one waypoint: this project's own resource type. */
export const l7AuthorizationType = 'type.googleapis.com/meshctl.l7.v1.AuthorizationPolicy';

/** The roots of the mesh: this project's own resource type. */
export const trustBundleType = 'type.googleapis.com/meshctl.identity.v1.TrustBundle';

/** Short names of the types, as the metrics label them. */
export const typeLabels: Readonly<Record<string, string>> = {
  [addressType]: 'wds',
  [authorizationType]: 'wads',
  [l7AuthorizationType]: 'l7',
  [trustBundleType]: 'trust',
};

/** Full method path of the delta xDS stream. */
export const deltaXdsPath = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** Full method path of the state-of-the-world xDS stream. */
export const stateOfTheWorldXdsPath =
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
/** Full method path of the certificate signing call. */
export const createCertificatePath = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
