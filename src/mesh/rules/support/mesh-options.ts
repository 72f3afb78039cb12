import { honored, ignored, refused, type SupportTable } from './support.js';

const noTraces = 'no component sends traces in this version';
const noRoutes = 'VirtualServices and routes are not read in this version';
const noSidecars = 'it configures sidecars, which an ambient mesh has none of';
const noIngress = 'Ingress objects are not read; use the Gateway API';
const everybody = 'what a Service or route is visible to cannot be limited in this version';
const noProviders = 'no component sends anything to extension providers in this version';

/**
 * Options of the mesh: `meshConfig` of the values, key `mesh` of ConfigMap `istio`. Refused is what promises
 * protection, a limit or another source of truth; ignored is what only adds or tunes something.
 */
export const meshOptionSupport: SupportTable = {
  trustDomain: honored({ takenUp: 'restart' }),
  trustDomainAliases: honored({ takenUp: 'restart', isWhole: true }),
  rootNamespace: honored({ takenUp: 'live' }),
  waypointFailurePolicy: honored({ takenUp: 'live' }),
  l7PolicyAtZtunnel: honored({ takenUp: 'live' }),

  enableTracing: ignored(noTraces, false),
  'defaultConfig.tracing': ignored(noTraces),
  'defaultProviders.tracing': ignored(noTraces),
  extensionProviders: ignored(noProviders),
  'defaultProviders.metrics': ignored('metrics are offered to Prometheus only', ['prometheus']),
  'defaultProviders.accessLogging': ignored('access logs go to standard output only', ['envoy']),
  // Proxies log to their standard output, whatever this says.
  accessLogFile: ignored('access logs go to standard output, and are always on', '/dev/stdout'),
  accessLogFormat: ignored('access logs have their own fixed format', ''),
  accessLogEncoding: ignored('access logs are text', 'TEXT'),
  enableEnvoyAccessLogService: ignored(noProviders, false),
  disableEnvoyListenerLog: ignored('there are no logs of listeners', true),
  enablePrometheusMerge: ignored(noSidecars, true, false),

  discoverySelectors: refused(
    'the controller reads every namespace; what the selectors leave out would be in the mesh',
  ),
  serviceScopeConfigs: ignored('the mesh is of one cluster; every service is reachable in all of it'),
  serviceEntryVisibility: ignored('ServiceEntries are not read in this version'),
  caCertificates: refused(
    'certificates of further roots would not be accepted; give the mesh one authority with Secret cacerts',
  ),
  ca: refused('certificates are signed by the controller; give it an authority with Secret cacerts'),
  certificates: ignored('certificates for DNS names are not issued'),
  configSources: refused('configuration is read from the API server of the cluster only'),

  'outboundTrafficPolicy.mode': refused(
    'calls to what the mesh does not know would go out all the same; use a NetworkPolicy for egress',
    'ALLOW_ANY',
  ),
  inboundTrafficPolicy: refused('calls reach a pod at the address and port that was called', {
    mode: 'PASSTHROUGH',
  }),
  enableAutoMtls: refused('traffic between captured pods is always encrypted', true),
  meshMTLS: refused('mTLS is TLS 1.3 with AES-GCM, and nothing else', {}, { minProtocolVersion: 'TLSV1_3' }),
  tlsDefaults: refused('TLS to what is outside the mesh is not originated in this version'),
  verifyCertificateAtClient: ignored(
    'TLS to what is outside the mesh is not originated in this version',
    true,
  ),
  pathNormalization: refused(
    'waypoints normalize paths as BASE says',
    {},
    { normalization: 'BASE' },
    { normalization: 'DEFAULT' },
  ),
  defaultServiceExportTo: refused(everybody, ['*']),
  defaultVirtualServiceExportTo: ignored(noRoutes, ['*']),
  defaultDestinationRuleExportTo: ignored('DestinationRules are not read in this version', ['*']),
  serviceSettings: ignored('the mesh is of one cluster; every service is local to it'),

  localityLbSetting: ignored('which zone is preferred is said by spec.trafficDistribution of the Service'),
  connectTimeout: ignored('the time-out of connections is fixed'),
  protocolDetectionTimeout: ignored('the time-out of protocol detection is fixed'),
  tcpKeepalive: ignored('keep-alive of connections between proxies is fixed'),
  h2UpgradePolicy: ignored('HTTP/1 is not upgraded to HTTP/2', 'DO_NOT_UPGRADE'),
  defaultHttpRetryPolicy: ignored('waypoints do not retry in this version', { attempts: 0 }),
  proxyHttpPolicy: ignored(noSidecars),
  dnsRefreshRate: ignored('host names outside the cluster are not resolved'),
  hboneIdleTimeout: ignored(
    'set values.ztunnel.env.POOL_UNUSED_RELEASE_TIMEOUT for connections between node proxies',
  ),

  ingressClass: ignored(noIngress),
  ingressControllerMode: ignored(noIngress, 'OFF'),
  ingressService: ignored(noIngress),
  ingressSelector: ignored(noIngress),
  proxyListenPort: refused('the ports of captured traffic are fixed', 15001),
  proxyInboundListenPort: refused('the ports of captured traffic are fixed', 15006),
  proxyHttpPort: refused('there is no port of an explicit HTTP proxy', 0),

  'defaultConfig.discoveryAddress': ignored(
    'set values.ztunnel.env.XDS_ADDRESS and CA_ADDRESS for another control plane',
  ),
  'defaultConfig.proxyMetadata': honored({ takenUp: 'restart' }),
  'defaultConfig.concurrency': ignored('proxies use one thread'),
  'defaultConfig.holdApplicationUntilProxyStarts': ignored(
    'pods are captured before their containers start',
    true,
  ),
  'defaultConfig.image': ignored('images are chosen with hub and tag'),
};
