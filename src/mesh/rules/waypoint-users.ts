import type { KubeObject } from '#base/kube/types.js';
import { namedWaypoint } from './waypoint-binding.js';

/** Kinds whose labels may name a waypoint: what a binding is looked for on. */
export const waypointUserKinds = ['Namespace', 'Service', 'ServiceAccount', 'Pod'] as const;

/** An object that names a waypoint. */
export interface WaypointUser {
  readonly kind: (typeof waypointUserKinds)[number];
  /** Undefined for a Namespace. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** `namespace/name` of the waypoint it names, whether there is one or not. */
  readonly waypoint: string;
}

/**
 * The objects of one kind that name a waypoint with a label of their own. Those that would only inherit the name from
 * their namespace are not users: it is. A pod that is over uses nothing.
 */
export function waypointUsers(
  kind: WaypointUser['kind'],
  objects: readonly (KubeObject & { readonly status?: { readonly phase?: string } })[],
): readonly WaypointUser[] {
  return objects.flatMap(({ metadata, status }) => {
    if (kind === 'Pod' && (status?.phase === 'Succeeded' || status?.phase === 'Failed')) return [];
    const { name } = metadata;
    const namespace = kind === 'Namespace' ? undefined : (metadata.namespace ?? '');
    const named = namedWaypoint(metadata.labels ?? {}, namespace ?? name);
    if (named === undefined || named === 'none') return [];
    return [{ kind, namespace, name, waypoint: `${named.namespace}/${named.name}` }];
  });
}

/** `Namespace x`, `Service x/y`, `ServiceAccount x/y`, `Pod x/y`. */
export function waypointUserText({ kind, namespace, name }: WaypointUser): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
