import type { AuthorizationPolicy, Gateway, GatewayClass, KubeObject, Namespace } from '#base/kube/types.js';
import type { Graph, SourceCollection } from '../graph/graph.js';
import type { PeerAuthFacts } from '../../rules/mtls-mode.js';
import {
  trafficDistribution,
  type NodeFacts,
  type PodFacts,
  type ServiceFacts,
  type SliceFacts,
} from '../../rules/facts.js';
import type { MeshConfig } from '../../rules/mesh-config.js';

/** What the mesh needs of a Namespace. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficDistribution: string | undefined;
}

/** Key under which the mesh options are kept. */
export const meshKey = 'mesh';

/** Everything the mesh state is derived from. Keys are `namespace/name`, or the name of cluster-wide objects. */
export interface Inputs {
  readonly mesh: SourceCollection<MeshConfig>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts>;
  readonly services: SourceCollection<ServiceFacts>;
  readonly slices: SourceCollection<SliceFacts>;
  readonly gateways: SourceCollection<Gateway>;
  readonly gatewayClasses: SourceCollection<GatewayClass>;
  readonly policies: SourceCollection<AuthorizationPolicy>;
  readonly peerAuths: SourceCollection<PeerAuthFacts>;
}

/** Empty inputs of a graph, with the mesh options set. */
export function createInputs(graph: Graph, mesh: MeshConfig): Inputs {
  const inputs: Inputs = {
    mesh: graph.source(),
    namespaces: graph.source(),
    nodes: graph.source(),
    pods: graph.source(),
    services: graph.source(),
    slices: graph.source(),
    gateways: graph.source(),
    gatewayClasses: graph.source(),
    policies: graph.source(),
    peerAuths: graph.source(),
  };
  inputs.mesh.set(meshKey, mesh);
  return inputs;
}

/** `namespace/name`, or the bare name of an object without namespace. */
export function objectKey(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Facts of a Namespace. */
export function namespaceFacts(namespace: Namespace): NamespaceFacts {
  return {
    name: namespace.metadata.name,
    labels: namespace.metadata.labels ?? {},
    trafficDistribution: namespace.metadata.annotations?.[trafficDistribution],
  };
}

/** An object without the parts that change with every write and concern nobody here. */
export function withoutBookkeeping<T extends KubeObject>(object: T): T {
  const { managedFields: _fields, resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** A Gateway reduced to what binding and policies read of it. */
export function gatewayFacts(gateway: Gateway): Gateway {
  const { namespace, name, labels } = gateway.metadata;
  const addresses = gateway.status?.addresses;
  return {
    apiVersion: gateway.apiVersion,
    kind: gateway.kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
    },
    spec: { gatewayClassName: gateway.spec.gatewayClassName, listeners: gateway.spec.listeners },
    ...(addresses === undefined ? {} : { status: { addresses } }),
  };
}

/** A GatewayClass reduced to what binding and policies read of it. */
export function gatewayClassFacts(gatewayClass: GatewayClass): GatewayClass {
  const { name, labels } = gatewayClass.metadata;
  return {
    apiVersion: gatewayClass.apiVersion,
    kind: gatewayClass.kind,
    metadata: { name, ...(labels === undefined ? {} : { labels }) },
    spec: { controllerName: gatewayClass.spec.controllerName },
  };
}

/** A policy without its status, which this controller itself writes. */
export function policyFacts(policy: AuthorizationPolicy): AuthorizationPolicy {
  const { status: _status, ...rest } = withoutBookkeeping(policy);
  return rest;
}
