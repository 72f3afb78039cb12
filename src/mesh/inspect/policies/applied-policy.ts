import type { AuthorizationPolicy, GatewayClass, Pod } from '#base/kube/types.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import type { AuthorizationPolicy as L7Policy } from '../../xds/gen/meshctl/l7_pb.js';
import type { PodBindings } from '../waypoint-bindings.js';
import type { ZtunnelDump } from '../ztunnel-dump.js';

/** One AuthorizationPolicy that concerns a pod: what is asked for, and what its enforcement point has. */
export interface AppliedPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: string;
  /** `ztunnel` (at the pod), `waypoint ns/name`, or `nothing`. */
  readonly enforcedBy: string;
  /** Seen in the enforcement point's own configuration; undefined when it could not be asked. */
  readonly isLoaded: boolean | undefined;
  /** How what the enforcement point has differs from what is asked for. */
  readonly difference?: string;
  /** In what it cannot be enforced there as it is written. */
  readonly shortfall?: string;
}

/** What a pod's policies are gathered from. */
export interface PolicySources {
  readonly pod: Pod;
  readonly isEnrolled: boolean;
  readonly policies: readonly AuthorizationPolicy[];
  readonly mesh: MeshConfig;
  readonly dump: ZtunnelDump | undefined;
  readonly bindings: PodBindings;
  readonly gatewayClasses: readonly GatewayClass[];
  /** What each waypoint in the way shows of its policies; undefined when it could not be asked. */
  readonly loadedAt: ReadonlyMap<string, readonly L7Policy[] | undefined>;
}

/** Of a policy what every report of it begins with. */
export function headOf(policy: AuthorizationPolicy): Pick<AppliedPolicy, 'namespace' | 'name' | 'action'> {
  const { namespace = '', name } = policy.metadata;
  return { namespace, name, action: policy.spec?.action ?? 'ALLOW' };
}

/** `namespace/name`. */
export function policyKeyOf(of: { readonly namespace: string; readonly name: string }): string {
  return `${of.namespace}/${of.name}`;
}
