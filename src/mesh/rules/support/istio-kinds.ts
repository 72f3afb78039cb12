import * as resources from '#base/kube/resource.js';
import { honored, ignored, type KindSupport, refused, type Support, type SupportTable } from './support.js';

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

/** Fields of an AuthorizationPolicy. Which conditions of `when` an enforcement point can evaluate is a matter of their keys: see the rules. */
export const authorizationPolicyFields: SupportTable = {
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
  ...pairs('rules[].from[].source', atWaypoints, 'requestPrincipals', 'remoteIpBlocks'),
  ...pairs(
    'rules[].from[].source',
    refused(
      'trust domains are compared in this version only by the condition source.trustDomain at waypoints',
    ),
    'trustDomains',
  ),
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
    resource: resources.authorizationPolicies,
    ...honored(),
    fields: authorizationPolicyFields,
  },
  {
    resource: resources.peerAuthentications,
    ...honored(),
    fields: peerAuthentication,
  },
  {
    resource: resources.requestAuthentications,
    ...refused(
      'tokens are not validated in this version: invalid ones are not refused, and rules on requestPrincipals match nobody',
    ),
  },
  { resource: resources.virtualServices, ...ignored(noRoutes) },
  {
    resource: resources.destinationRules,
    ...ignored('load balancing, subsets, limits and TLS to services are not changed in this version'),
  },
  {
    resource: resources.istioGateways,
    ...ignored('use a Gateway of the Gateway API (gateway.networking.k8s.io)'),
  },
  {
    resource: resources.serviceEntries,
    ...ignored('services outside the cluster are not added to the mesh in this version'),
  },
  {
    resource: resources.workloadEntries,
    ...ignored('workloads outside the cluster are not added to the mesh in this version'),
  },
  {
    resource: resources.workloadGroups,
    ...ignored('workloads outside the cluster are not added to the mesh in this version'),
  },
  { resource: resources.sidecars, ...ignored(noSidecars) },
  {
    resource: resources.envoyFilters,
    ...ignored('the proxies of this mesh are not Envoy'),
  },
  { resource: resources.proxyConfigs, ...ignored(noSidecars) },
  {
    resource: resources.telemetries,
    ...ignored('metrics and access logs are as built in, and no traces are sent in this version'),
  },
  {
    resource: resources.wasmPlugins,
    ...ignored('proxies run no WebAssembly in this version'),
  },
  {
    resource: resources.trafficExtensions,
    ...ignored('proxies run no extensions in this version'),
  },
];
