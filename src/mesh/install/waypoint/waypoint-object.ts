import { MeshError } from '#base/errors/mesh-error.js';
import { revision as revisionLabel, waypointClass, waypointFor } from '#base/kube/labels.js';
import type { Gateway } from '#base/kube/types.js';

/** What a waypoint may be for. */
export const trafficTypes = ['service', 'workload', 'all', 'none'] as const;

export const defaultWaypointName = 'waypoint';

/** Name of the waypoint of a ServiceAccount. The account's own would make the waypoint run as it. */
export function accountWaypointName(serviceAccount: string): string {
  return `${serviceAccount.replaceAll('.', '-')}-${defaultWaypointName}`;
}

export interface WaypointSpec {
  readonly name: string;
  /** undefined: left out of the object, for kubectl to fill in. */
  readonly namespace: string | undefined;
  /** `istio.io/waypoint-for`; undefined: the default, which is `service`. */
  readonly trafficType: string | undefined;
  readonly revision: string | undefined;
}

/** The Gateway that asks for a waypoint. @throws MESH0103 for an impossible name */
export function waypointObject(spec: WaypointSpec): Gateway {
  const { name, namespace, trafficType, revision } = spec;
  if (name === 'none') {
    throw new MeshError('MESH0103', '"none" is no name for a waypoint', {
      evidence: 'istio.io/use-waypoint=none means: no waypoint',
    });
  }
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    throw new MeshError('MESH0103', `"${name}" is no name for a waypoint`, {
      hint: 'Use at most 63 lower-case letters, digits and "-".',
    });
  }
  const labels = {
    ...(trafficType === undefined ? {} : { [waypointFor]: trafficType }),
    ...(revision === undefined ? {} : { [revisionLabel]: revision }),
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
    },
    spec: {
      gatewayClassName: waypointClass,
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  };
}
