/** Services and workloads (ambient Workload API). */
export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address';
/** L4 authorization policies. */
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization';
/** L7 authorization policies of one waypoint: this project's own resource type. */
export const L7_AUTHORIZATION_TYPE = 'type.googleapis.com/meshctl.l7.v1.AuthorizationPolicy';

/** Short names of the types, as the metrics label them. */
export const TYPE_LABELS: Readonly<Record<string, string>> = {
  [ADDRESS_TYPE]: 'wds',
  [AUTHORIZATION_TYPE]: 'wads',
  [L7_AUTHORIZATION_TYPE]: 'l7',
};

/** Full method path of the delta xDS stream. */
export const DELTA_XDS_PATH =
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** Full method path of the state-of-the-world xDS stream. */
export const STATE_OF_THE_WORLD_XDS_PATH =
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
/** Full method path of the certificate signing call. */
export const CREATE_CERTIFICATE_PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
