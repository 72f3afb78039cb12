import { honored, ignored, type KindSupport, refused, type Support, type SupportTable } from './support.js';

const networking = 'networking.istio.io';
const security = 'security.istio.io';
const extensions = 'extensions.istio.io';

const everywhere = honored({ at: ['ztunnel', 'waypoint'] });
const atWaypoints = honored({ at: ['waypoint'] });
const atNodeProxies = honored({ at: ['ztunnel'] });

/** `name` and `notName` lists below a path. */
function pairs(at: string, row: Support, ...names: readonly string[]): SupportTable {
  return Object.fromEntries(
    names.flatMap((name) => {
      const negated = `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;
      return [
        [`${at}.${name}[]`, row],
        [`${at}.${negated}[]`, row],
      ];
    }),
  );
}

const targetFields = ['group', 'kind', 'name', 'namespace'];

/** Which conditions of `when` an enforcement point can evaluate is a matter of their keys: see the rules. */
const authorizationPolicy: SupportTable = {
  action: refused(
    'CUSTOM needs an external authorizer, which no proxy calls in this version; AUDIT is for waypoints',
    'ALLOW',
    'DENY',
    'AUDIT',
  ),
  provider: refused('external authorizers are not called in this version'),
  'selector.matchLabels.*': atNodeProxies,
  ...Object.fromEntries(targetFields.map((name) => [`targetRef.${name}`, atWaypoints])),
  ...Object.fromEntries(targetFields.map((name) => [`targetRefs[].${name}`, atWaypoints])),
  ...pairs('rules[].from[].source', everywhere, 'principals', 'namespaces', 'serviceAccounts', 'ipBlocks'),
  ...pairs('rules[].from[].source', atWaypoints, 'requestPrincipals', 'remoteIpBlocks', 'trustDomains'),
  ...pairs('rules[].to[].operation', everywhere, 'ports'),
  ...pairs('rules[].to[].operation', atWaypoints, 'hosts', 'methods', 'paths'),
  'rules[].when[].key': everywhere,
  'rules[].when[].values[]': everywhere,
  'rules[].when[].notValues[]': everywhere,
};

const mtlsMode: Support = {
  ...ignored(
    'captured pods always talk mTLS to each other; DISABLE admits plaintext as PERMISSIVE does',
    'UNSET',
    'PERMISSIVE',
    'STRICT',
  ),
  at: ['ztunnel'],
};

const peerAuthentication: SupportTable = {
  'selector.matchLabels.*': atNodeProxies,
  'mtls.mode': mtlsMode,
  'portLevelMtls.*.mode': mtlsMode,
};

const noRoutes = 'routing is not changed in this version: every call goes to the service that was called';
const noSidecars = 'it configures sidecars, which an ambient mesh has none of';

/** Istio's kinds: those that do something, and those that are accepted by the API server and then by nobody. */
export const istioKinds: readonly KindSupport[] = [
  {
    group: security,
    kind: 'AuthorizationPolicy',
    plural: 'authorizationpolicies',
    ...honored(),
    fields: authorizationPolicy,
  },
  {
    group: security,
    kind: 'PeerAuthentication',
    plural: 'peerauthentications',
    ...honored(),
    fields: peerAuthentication,
  },
  {
    group: security,
    kind: 'RequestAuthentication',
    plural: 'requestauthentications',
    ...refused(
      'tokens are not validated in this version: invalid ones are not refused, and rules on requestPrincipals match nobody',
    ),
  },
  { group: networking, kind: 'VirtualService', plural: 'virtualservices', ...ignored(noRoutes) },
  {
    group: networking,
    kind: 'DestinationRule',
    plural: 'destinationrules',
    ...ignored('load balancing, subsets, limits and TLS to services are not changed in this version'),
  },
  {
    group: networking,
    kind: 'Gateway',
    plural: 'gateways',
    ...ignored('use a Gateway of the Gateway API (gateway.networking.k8s.io)'),
  },
  {
    group: networking,
    kind: 'ServiceEntry',
    plural: 'serviceentries',
    ...ignored('services outside the cluster are not added to the mesh in this version'),
  },
  {
    group: networking,
    kind: 'WorkloadEntry',
    plural: 'workloadentries',
    ...ignored('workloads outside the cluster are not added to the mesh in this version'),
  },
  {
    group: networking,
    kind: 'WorkloadGroup',
    plural: 'workloadgroups',
    ...ignored('workloads outside the cluster are not added to the mesh in this version'),
  },
  { group: networking, kind: 'Sidecar', plural: 'sidecars', ...ignored(noSidecars) },
  {
    group: networking,
    kind: 'EnvoyFilter',
    plural: 'envoyfilters',
    ...ignored('the proxies of this mesh are not Envoy'),
  },
  { group: networking, kind: 'ProxyConfig', plural: 'proxyconfigs', ...ignored(noSidecars) },
  {
    group: 'telemetry.istio.io',
    kind: 'Telemetry',
    plural: 'telemetries',
    ...ignored('metrics and access logs are as built in, and no traces are sent in this version'),
  },
  {
    group: extensions,
    kind: 'WasmPlugin',
    plural: 'wasmplugins',
    ...ignored('proxies run no WebAssembly in this version'),
  },
  {
    group: extensions,
    kind: 'TrafficExtension',
    plural: 'trafficextensions',
    ...ignored('proxies run no extensions in this version'),
  },
];
