import type {
  AuthorizationPolicy,
  Gateway,
  GatewayClass,
  HttpRoute,
  KubeObject,
  Namespace,
} from '#base/kube/types.js';
import { trafficDistribution } from '../../rules/facts.js';

/** What the mesh needs of a Namespace. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficDistribution: string | undefined;
  readonly isTerminating: boolean;
}

/** What the mesh needs of an HTTPRoute. */
export interface RouteFacts {
  /** Gateways it names as its parents; a listener only where it names one. */
  readonly parents: readonly {
    /** `namespace/name`. */
    readonly gateway: string;
    readonly listener: string | undefined;
  }[];
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

/** Facts of an HTTPRoute. */
export function routeFacts({ metadata, spec }: HttpRoute): RouteFacts {
  return {
    parents: (spec?.parentRefs ?? [])
      .filter(
        ({ group, kind }) =>
          (group ?? 'gateway.networking.k8s.io') === 'gateway.networking.k8s.io' &&
          (kind ?? 'Gateway') === 'Gateway',
      )
      .map(({ namespace, name, sectionName }) => ({
        gateway: `${namespace ?? metadata.namespace ?? ''}/${name}`,
        listener: sectionName,
      })),
  };
}

/** An object without the parts that change with every write and concern nobody here. */
function withoutBookkeeping<T extends KubeObject>(object: T): T {
  const { managedFields: _fields, resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}
