import type { KubeObject } from '#base/kube/types.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import type { Graph, SourceCollection } from '../graph/graph.js';
import { type FactsOf, type KindName, kinds } from './kinds.js';

/** Key under which the mesh options are kept. */
export const meshKey = 'mesh';

/** The status an object carries, whoever wrote it. */
export interface LiveStatus {
  readonly resourceVersion: string;
  readonly status: Readonly<Record<string, unknown>>;
}

/** Facts of the objects of each kind. Keys are `namespace/name`, or the name of cluster-wide objects. */
type KindInputs = { readonly [K in KindName]: SourceCollection<FactsOf<K>> };

/** Everything the mesh state is derived from. */
export type Inputs = KindInputs & {
  readonly mesh: SourceCollection<MeshConfig>;
  /** Of the kinds whose status this controller writes; by {@link statusKey}. */
  readonly liveStatuses: SourceCollection<LiveStatus>;
};

/** Empty inputs of a graph, with the mesh options set. */
export function createInputs(graph: Graph, mesh: MeshConfig): Inputs {
  const byKind = Object.fromEntries(Object.keys(kinds).map((name) => [name, graph.source()]));
  const inputs: Inputs = {
    ...(byKind as unknown as KindInputs),
    mesh: graph.source(),
    liveStatuses: graph.source(),
  };
  inputs.mesh.set(meshKey, mesh);
  return inputs;
}

/** `namespace/name`, or the bare name of an object without namespace. */
export function objectKey(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Key of a status: the kind, and the object's own key. */
export function statusKey(kind: KindName, key: string): string {
  return `${kind} ${key}`;
}
