import type {
  AuthorizationPolicy,
  Gateway,
  GatewayClass,
  KubeObject,
  ListenerSet,
  Namespace,
  ParentReference,
  GatewayRoute,
} from '#base/kube/types.js';
import { useWaypoint, useWaypointNamespace } from '#base/kube/labels.js';
import { trafficDistribution } from '../../rules/facts.js';
import { namesWaypoint } from '../../rules/waypoint-binding.js';

const gatewayApiGroup = 'gateway.networking.k8s.io';

/** What the mesh needs of a Namespace. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficDistribution: string | undefined;
  readonly isTerminating: boolean;
}

/** What the mesh needs of a ServiceAccount: the waypoint that pods running as it use. */
export interface AccountFacts {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the mesh needs of an object that nothing acts on: who to tell. */
export interface UnhonoredFacts {
  readonly namespace: string;
  readonly name: string;
  readonly generation: number | undefined;
}

/** What the mesh needs of a route: what it wants to be attached to. */
export interface RouteFacts extends UnhonoredFacts {
  readonly parentRefs: readonly ParentReference[];
}

/** What the mesh needs of a ListenerSet. */
export interface ListenerSetFacts extends UnhonoredFacts {
  /** `namespace/name` of the Gateway whose listeners it adds to; undefined when its parent is none. */
  readonly gateway: string | undefined;
}

/** Facts of a ServiceAccount; undefined for one that names no waypoint, as nearly all are. */
export function accountFacts({ metadata }: KubeObject): AccountFacts | undefined {
  const { labels = {}, namespace = '', name } = metadata;
  if (!namesWaypoint(labels)) return undefined;
  const named = Object.entries(labels).filter(([key]) => key === useWaypoint || key === useWaypointNamespace);
  return { namespace, name, labels: Object.fromEntries(named) };
}

/** Facts of a Namespace. */
export function namespaceFacts(namespace: Namespace): NamespaceFacts {
  const { name, labels, annotations, deletionTimestamp } = namespace.metadata;
  return {
    name,
    labels: labels ?? {},
    trafficDistribution: annotations?.[trafficDistribution],
    isTerminating: deletionTimestamp !== undefined,
  };
}

/**
 * A Gateway without its status but for the addresses, which binding goes by, and which are kept once reported.
 */
export function gatewayFacts(gateway: Gateway): Gateway {
  const addresses = gateway.status?.addresses;
  const { status: _status, ...rest } = withoutBookkeeping(gateway);
  return { ...rest, ...(addresses === undefined ? {} : { status: { addresses } }) };
}

/** A GatewayClass without its status, which this controller itself writes. */
export function gatewayClassFacts(gatewayClass: GatewayClass): GatewayClass {
  const { status: _status, ...rest } = withoutBookkeeping(gatewayClass);
  return rest;
}

/** A policy without its status, which this controller itself writes. */
export function policyFacts(policy: AuthorizationPolicy): AuthorizationPolicy {
  const { status: _status, ...rest } = withoutBookkeeping(policy);
  return rest;
}

/** Facts of an object that nothing acts on. */
export function unhonoredFacts({ metadata }: KubeObject): UnhonoredFacts {
  return { namespace: metadata.namespace ?? '', name: metadata.name, generation: metadata.generation };
}

/** Facts of a route of any kind. */
export function routeFacts(route: GatewayRoute): RouteFacts {
  return { ...unhonoredFacts(route), parentRefs: route.spec?.parentRefs ?? [] };
}

/** Facts of a ListenerSet. */
export function listenerSetFacts(set: ListenerSet): ListenerSetFacts {
  const facts = unhonoredFacts(set);
  return { ...facts, gateway: gatewayOf(set.spec.parentRef, facts.namespace) };
}

/** `namespace/name` of the Gateway a reference is to; undefined when it is to something else. */
export function gatewayOf(reference: ParentReference, namespace: string): string | undefined {
  const { group = gatewayApiGroup, kind = 'Gateway' } = reference;
  return group === gatewayApiGroup && kind === 'Gateway'
    ? `${reference.namespace ?? namespace}/${reference.name}`
    : undefined;
}

/** An object without the parts that change with every write and concern nobody here. */
function withoutBookkeeping<T extends KubeObject>(object: T): T {
  const { managedFields: _fields, resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}
