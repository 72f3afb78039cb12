import { useWaypoint } from '#base/kube/labels.js';
import * as resources from '#base/kube/resource.js';
import type {
  AuthorizationPolicy,
  EndpointSlice,
  Gateway,
  GatewayClass,
  KubeObject,
  ListenerSet,
  Namespace,
  Node,
  PeerAuthentication,
  Pod,
  GatewayRoute,
  Service,
} from '#base/kube/types.js';
import { nodeFacts, podFacts, serviceFacts, sliceFacts } from '../../rules/facts.js';
import { peerAuthFacts } from '../../rules/mtls-mode.js';
import {
  accountFacts,
  gatewayClassFacts,
  gatewayFacts,
  listenerSetFacts,
  namespaceFacts,
  policyFacts,
  routeFacts,
  unhonoredFacts,
} from './object-facts.js';
import { sharedPodFacts } from './shared-facts.js';

/** Who writes the status of a kind: one replica for the whole mesh, or one of each revision for what is its own. */
export type StatusLease = 'mesh' | 'revision';

/** What the controller has to do with one kind of object. */
export interface KindRow<O extends KubeObject, F> {
  readonly resource: resources.Resource;
  /** Which objects are followed; undefined: all. */
  readonly labelSelector?: string;
  /** All that the mesh is derived from of an object; undefined: it has no part in the mesh. */
  readonly facts: (object: O) => F | undefined;
  /** What is done with objects of the kind beyond following them. */
  readonly verbs?: readonly ('get' | 'create' | 'patch')[];
  /** Present when the controller writes the kind's status. */
  readonly status?: {
    /** Condition types that are this controller's; those of others stay as they are. */
    readonly conditions: readonly string[];
    readonly lease: StatusLease;
  };
}

/** Types a row by its functions. */
function row<O extends KubeObject, F>(kind: KindRow<O, F>): KindRow<O, F> {
  return kind;
}

/** A row of a kind that nothing acts on: whoever writes such an object is told. */
const unhonored = (resource: resources.Resource) =>
  row({
    resource,
    facts: (object: KubeObject) => unhonoredFacts(object),
    status: { conditions: ['Accepted'], lease: 'mesh' },
  });

/** A row of a kind of routes. Their conditions stand below each of their parents. */
const route = (resource: resources.Resource) =>
  row({
    resource,
    facts: (object: GatewayRoute) => routeFacts(object),
    status: { conditions: [], lease: 'mesh' },
  });

/** Kinds that nothing acts on. */
const unhonoredRows = {
  requestAuthentications: unhonored(resources.requestAuthentications),
  virtualServices: unhonored(resources.virtualServices),
  destinationRules: unhonored(resources.destinationRules),
  istioGateways: unhonored(resources.istioGateways),
  serviceEntries: unhonored(resources.serviceEntries),
  workloadEntries: unhonored(resources.workloadEntries),
  workloadGroups: unhonored(resources.workloadGroups),
  sidecars: unhonored(resources.sidecars),
  envoyFilters: unhonored(resources.envoyFilters),
  proxyConfigs: unhonored(resources.proxyConfigs),
  telemetries: unhonored(resources.telemetries),
  wasmPlugins: unhonored(resources.wasmPlugins),
  trafficExtensions: unhonored(resources.trafficExtensions),
};

/** Kinds of routes. */
const routeRows = {
  httpRoutes: route(resources.httpRoutes),
  grpcRoutes: route(resources.grpcRoutes),
  tlsRoutes: route(resources.tlsRoutes),
  tcpRoutes: route(resources.tcpRoutes),
  udpRoutes: route(resources.udpRoutes),
};

/**
 * Every kind the controller follows. Informers, inputs, statuses and permissions are made of these rows: adding a kind
 * is adding a row, and in `templates/controller/rbac.yaml` the permissions a test then asks for.
 */
export const kinds = {
  namespaces: row({ resource: resources.namespaces, facts: (object: Namespace) => namespaceFacts(object) }),
  nodes: row({ resource: resources.nodes, facts: (object: Node) => nodeFacts(object) }),
  pods: row({ resource: resources.pods, facts: (object: Pod) => sharedPodFacts(podFacts(object)) }),
  services: row({
    resource: resources.services,
    facts: (object: Service) => serviceFacts(object),
    // Those of gateways.
    verbs: ['get', 'create', 'patch'],
    status: { conditions: ['istio.io/WaypointBound'], lease: 'mesh' },
  }),
  accounts: row({
    resource: resources.serviceAccounts,
    labelSelector: useWaypoint,
    facts: (object: KubeObject) => accountFacts(object),
    // Those of gateways.
    verbs: ['get', 'create', 'patch'],
  }),
  slices: row({ resource: resources.endpointSlices, facts: (object: EndpointSlice) => sliceFacts(object) }),
  gateways: row({
    resource: resources.gateways,
    facts: (object: Gateway) => gatewayFacts(object),
    status: { conditions: ['Accepted', 'Programmed'], lease: 'revision' },
  }),
  gatewayClasses: row({
    resource: resources.gatewayClasses,
    facts: (object: GatewayClass) => gatewayClassFacts(object),
    // The built-in ones, when they are absent.
    verbs: ['create'],
    status: { conditions: ['Accepted'], lease: 'mesh' },
  }),
  listenerSets: row({
    resource: resources.listenerSets,
    facts: (object: ListenerSet) => listenerSetFacts(object),
    status: { conditions: ['Accepted', 'Programmed'], lease: 'mesh' },
  }),
  ...routeRows,
  policies: row({
    resource: resources.authorizationPolicies,
    facts: (object: AuthorizationPolicy) => policyFacts(object),
    status: { conditions: ['ZtunnelAccepted', 'WaypointAccepted'], lease: 'mesh' },
  }),
  peerAuths: row({
    resource: resources.peerAuthentications,
    facts: (object: PeerAuthentication) => peerAuthFacts(object),
    status: { conditions: ['ZtunnelAccepted'], lease: 'mesh' },
  }),
  ...unhonoredRows,
};

/** Name of a row. */
export type KindName = keyof typeof kinds;

/** Name of the row of a kind that nothing acts on. */
export type UnhonoredKind = keyof typeof unhonoredRows;
export const unhonoredKinds = Object.keys(unhonoredRows) as UnhonoredKind[];

/** Name of the row of a kind of routes. */
export type RouteKind = keyof typeof routeRows;
export const routeKinds = Object.keys(routeRows) as RouteKind[];

/** What is kept of the objects of a kind. */
export type FactsOf<K extends KindName> = NonNullable<ReturnType<(typeof kinds)[K]['facts']>>;

/** Something the controller may do beyond what follows from {@link kinds}. */
export interface Permission {
  readonly resource: resources.Resource;
  readonly verbs: readonly string[];
  /** Undefined: whatever the name. */
  readonly names?: readonly string[];
  /** In the whole cluster, or in the controller's own namespace only. */
  readonly scope: 'cluster' | 'own namespace';
}

/** Everything the controller does beyond following kinds and writing their status. */
export function otherPermissions(revision: string): readonly Permission[] {
  const { configMaps, deployments, leases, secrets, tokenReviews } = resources;
  const leaders = [
    `istio-gateway-deployment-${revision}`,
    'istio-status-leader',
    'istio-namespace-controller-election',
  ];
  return [
    // The root certificate is published in every namespace. A create cannot be limited to a name.
    {
      resource: configMaps,
      verbs: ['list', 'watch', 'patch'],
      names: ['istio-ca-root-cert'],
      scope: 'cluster',
    },
    { resource: configMaps, verbs: ['create'], scope: 'cluster' },
    // Data planes prove who they are with service account tokens.
    { resource: tokenReviews, verbs: ['create'], scope: 'cluster' },
    // What a Gateway is deployed as.
    { resource: deployments, verbs: ['get', 'list', 'watch', 'create', 'patch'], scope: 'cluster' },
    // The mesh options, the certificate authority's key and the elections.
    { resource: configMaps, verbs: ['list', 'watch'], names: ['istio'], scope: 'own namespace' },
    { resource: secrets, verbs: ['get'], names: ['istio-ca-secret'], scope: 'own namespace' },
    { resource: secrets, verbs: ['get', 'update'], names: ['istio-ca-trust'], scope: 'own namespace' },
    { resource: secrets, verbs: ['create'], scope: 'own namespace' },
    { resource: leases, verbs: ['get', 'update'], names: leaders, scope: 'own namespace' },
    { resource: leases, verbs: ['create'], scope: 'own namespace' },
  ];
}
